import { strict as assert } from 'node:assert';
import { Server } from 'ssh2';
import { parse } from 'yaml';
import { StubCloud } from '../../bench/stubCloud';
import type { Backend, FirewallRule, MachineSpec } from '../../lab/backend';
import type { Stack } from '../../lab/stack';

/** What a server does about mail. */
type Role = 'new' | 'standby' | 'idle' | 'serving';

/** A server that has SSH and nothing else: it knows what the host program would have done. */
class ModelMachine {
  isOn = true;
  role: Role = 'new';
  volume?: number;
  /** Whether it mounts the volume when it boots. */
  knowsDevice = false;
  openPorts: string[] = [];
  private ssh?: Server;

  constructor(
    readonly id: number,
    public ipv4: string | undefined,
    private readonly hostKey: string,
    private readonly cloud: ModelCloud,
  ) {}

  async boot(): Promise<void> {
    this.isOn = true;
    if (this.role === 'standby') this.role = 'new';
    if (this.knowsDevice && this.volume !== undefined) this.role = 'serving';
    await this.listen();
  }

  async off(): Promise<void> {
    if (this.role === 'serving')
      this.cloud.wrong.push(`server ${this.id} was turned off while it served`);
    this.isOn = false;
    if (this.role === 'serving') this.role = 'new';
    await this.close();
  }

  async close(): Promise<void> {
    const { ssh } = this;
    this.ssh = undefined;
    if (ssh) await new Promise<void>((resolve) => ssh.close(() => resolve()));
  }

  async listen(): Promise<void> {
    await this.close();
    const { ipv4 } = this;
    if (ipv4 === undefined) return;
    const server = new Server({ hostKeys: [this.hostKey] }, (client) => {
      client.on('error', () => undefined);
      client.on('authentication', (context) => context.accept());
      client.on('session', (accept) => {
        accept().on('exec', (acceptCommand, _reject, { command }) => {
          const channel = acceptCommand();
          channel.resume();
          const failure = this.run(command);
          if (failure !== undefined) channel.stderr.write(`mailhost: ${failure}\n`);
          channel.exit(failure === undefined ? 0 : 1);
          channel.end();
        });
      });
    });
    this.ssh = server;
    await new Promise<void>((resolve) => server.listen(22, ipv4, resolve));
  }

  /** @returns why it failed */
  private run(command: string): string | undefined {
    if (this.cloud.failsNext?.test(command)) {
      this.cloud.failsNext = undefined;
      return 'it was told to fail';
    }
    if (/mailhost ready\b/.test(command)) {
      if (this.role === 'serving') return 'this server serves';
      if (this.role === 'new') return 'the standby server restarted since it was prepared';
      this.role = 'idle';
      this.knowsDevice = false;
    } else if (/mailhost yield\b/.test(command)) {
      this.role = 'idle';
      this.knowsDevice = false;
    } else if (/mailhost prepare .*--standby\b/.test(command)) {
      if (this.role === 'serving') return 'this server serves, and is no standby server';
      this.role = 'standby';
    } else if (/mailhost prepare .*--volume-device\b/.test(command)) {
      if (this.volume === undefined) return 'there is no such device';
      this.role = 'serving';
      this.knowsDevice = true;
    }
    return undefined;
  }
}

/** A cloud of servers that only remember what the host program would have done: cheap enough to have everything fail in it. */
export class ModelCloud extends StubCloud {
  /** What no plan may do. */
  readonly wrong: string[] = [];
  /** The next command like this fails. */
  failsNext?: RegExp;
  private readonly machines = new Map<number, ModelMachine>();

  static startModel = (zones: string[]): Promise<ModelCloud> => new ModelCloud().started(zones);

  override async close(): Promise<void> {
    await super.close();
    for (const machine of this.machines.values()) await machine.close();
  }

  /** As a person does it in Hetzner's console. */
  async startAll({ env }: Stack): Promise<void> {
    for (const { id, isOn } of this.machines.values()) {
      if (isOn) continue;
      const headers = { authorization: `Bearer ${env.HCLOUD_TOKEN!}` };
      const url = `${env.HCLOUD_ENDPOINT!}/servers/${id}/actions/poweron`;
      const { ok } = await fetch(url, { method: 'POST', headers });
      assert.ok(ok, url);
    }
  }

  /** The server that others reach by the first address, if it serves there. */
  serving(): ModelMachine | undefined {
    return [...this.machines.values()].find(
      ({ ipv4, isOn, role, openPorts }) =>
        ipv4 === mainAddress && isOn && role === 'serving' && openPorts.includes('25'),
    );
  }

  describe(): string {
    return [...this.machines.values()]
      .map(
        ({ id, ipv4, isOn, role, volume, openPorts }) =>
          `${id}: ${isOn ? 'on' : 'off'} ${role} at ${ipv4 ?? 'no address'}${volume === undefined ? '' : ' with the volume'}, ports ${openPorts.join(' ')}`,
      )
      .join('; ');
  }

  protected override backend(): Backend {
    const done = () => Promise.resolve();
    const at = (id: number) => this.machines.get(id)!;
    return {
      ...super.backend(),
      createMachine: async ({ id, ipv4, userData }: MachineSpec) => {
        const { ssh_keys: keys } = parse(userData) as { ssh_keys: { ed25519_private: string } };
        const machine = new ModelMachine(id, ipv4, keys.ed25519_private, this);
        this.machines.set(id, machine);
        await machine.boot();
      },
      setAddresses: (id, { ipv4 }) => {
        at(id).ipv4 = ipv4;
        return done();
      },
      deleteMachine: async (id) => {
        await at(id).close();
        this.machines.delete(id);
      },
      powerOn: (id) => at(id).boot(),
      powerOff: (id) => at(id).off(),
      shutdown: async (id) => {
        const machine = at(id);
        if (machine.role === 'serving') machine.role = 'new';
        await machine.off();
      },
      reboot: (id) => at(id).boot(),
      attachVolume: (volume, id) => {
        at(id).volume = volume;
        return done();
      },
      detachVolume: (volume) => {
        for (const machine of this.machines.values()) {
          if (machine.volume !== volume) continue;
          if (machine.role === 'serving')
            this.wrong.push(`the volume was detached from server ${machine.id} while it served`);
          machine.volume = undefined;
        }
        return done();
      },
      setFirewall: (id, rules: FirewallRule[] | undefined) => {
        at(id).openPorts = rules?.flatMap(({ port }) => port ?? []) ?? ['all'];
        return done();
      },
    };
  }
}

/** The one that the host gets. */
export const mainAddress = '127.88.0.1';
