import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { Server } from 'ssh2';
import { parse } from 'yaml';
import type { Backend, MachineSpec } from '../lab/backend';
import { cloudflareApi } from '../lab/cloud/cloudflare/api';
import { hcloudApi } from '../lab/cloud/hcloud/api';
import { apiTokens } from '../lab/apis';
import { injectFaults } from '../lab/cloud/faults';
import { Stack } from '../lab/stack';
import type { Lab } from '../lab/state';

/** So many requests are answered in each window, and all others with 429. */
export interface Limit {
  requests: number;
  seconds: number;
}

export interface StubOptions {
  /** Seconds that a command on a host takes; 0 if absent. */
  commandSeconds?: number;
  /** Of Cloudflare's API; none if absent. */
  limit?: Limit;
}

/**
 * The lab's two cloud APIs in this process, with no machine and no DNS behind them: an address that SSH finds answers every
 * command at once, and that it did it. What is measured with it is what the plan itself costs.
 */
export class StubCloud {
  /** Answered so far, the refused ones aside. */
  readonly requests = { hcloud: 0, cloudflare: 0 };
  refused = 0;
  readonly lab: Lab = { name: 'bench', dir: mkdtempSync(join(tmpdir(), 'mailhost-bench-')) };
  private readonly servers = new Map<number, Server>();
  private readonly apis: FastifyInstance[] = [];

  protected constructor(
    /** Seconds that a command on a host takes. */
    private readonly commandSeconds = 0,
    private readonly limit?: Limit,
  ) {}

  static start(zones: string[], { commandSeconds, limit }: StubOptions): Promise<StubCloud> {
    return new StubCloud(commandSeconds, limit).started(zones);
  }

  protected async started(zones: string[]): Promise<this> {
    const { dir } = this.lab;
    const backend = this.backend();
    const tokens = apiTokens(dir);
    const store = (api: string) => join(dir, `${api}.json`);
    const hcloud = hcloudApi(backend, store('hcloud'), tokens.hcloud);
    injectFaults(hcloud, 'hcloud', this.lab);
    await this.listen('hcloud', hcloud);
    await this.listen(
      'cloudflare',
      cloudflareApi(backend, store('cloudflare'), tokens.cloudflare, zones),
    );
    return this;
  }

  /** A stack of the project in `folder`, in this cloud. */
  async stack(folder: string, env: Record<string, string>, configFile?: string): Promise<Stack> {
    const stack = new Stack(this.lab, configFile, folder);
    const [hcloud, cloudflare] = this.apis.map((api) => (api.server.address() as AddressInfo).port);
    Object.assign(stack.env, {
      PULUMI_STACK: 'bench',
      HCLOUD_ENDPOINT: `http://127.0.0.1:${hcloud}/v1`,
      CLOUDFLARE_BASE_URL: `http://127.0.0.1:${cloudflare}/client/v4`,
      ...env,
    });
    await stack.select('bench');
    return stack;
  }

  async close(): Promise<void> {
    for (const api of this.apis) await api.close();
    for (const server of this.servers.values()) server.close();
    rmSync(this.lab.dir, { recursive: true });
  }

  private async listen(name: 'hcloud' | 'cloudflare', api: FastifyInstance): Promise<void> {
    let window = 0;
    let inWindow = 0;
    api.addHook('onRequest', async (_request, reply) => {
      if (name === 'cloudflare' && this.limit) {
        const { requests, seconds } = this.limit;
        const now = Date.now() / 1000;
        if (now > window + seconds) [window, inWindow] = [now, 0];
        if (++inWindow > requests) {
          this.refused++;
          const error = { code: 10000, message: 'rate limit' };
          await reply
            .code(429)
            .header('retry-after', Math.ceil(window + seconds - now))
            .send({ success: false, errors: [error], messages: [], result: null });
          return;
        }
      }
      this.requests[name]++;
    });
    await api.listen({ host: '127.0.0.1', port: 0 });
    this.apis.push(api);
  }

  protected backend(): Backend {
    const done = () => Promise.resolve();
    const octets = Array.from({ length: 100 }, (_, i) => i + 1);
    return {
      network: {
        ipv4Pool: octets.map((i) => `127.88.0.${i}`),
        ipv6Networks: octets.map((i) => `fd88:1:0:${i}::/64`),
      },
      createMachine: (spec) => this.startSsh(spec),
      connectMachine: () => Promise.resolve(),
      setAddresses: done,
      deleteMachine: (id) => {
        this.servers.get(id)?.close();
        return done();
      },
      powerOn: done,
      powerOff: done,
      shutdown: done,
      reboot: done,
      createVolume: done,
      resizeVolume: done,
      deleteVolume: done,
      attachVolume: done,
      detachVolume: done,
      setFirewall: done,
      setReverse: done,
      putZone: done,
      sign: done,
      dnssec: () => ({ ds: '1 13 2 AA', delegated: false }),
    };
  }

  /** An SSH server with the host key of the user data, which lets everybody in. */
  private startSsh({ id, ipv4, userData }: MachineSpec): Promise<void> {
    const { ssh_keys: keys } = parse(userData) as { ssh_keys: { ed25519_private: string } };
    const server = new Server({ hostKeys: [keys.ed25519_private] }, (client) => {
      client.on('error', () => undefined);
      client.on('authentication', (context) => context.accept());
      client.on('session', (accept) => {
        accept().on('exec', (acceptCommand) => {
          const channel = acceptCommand();
          channel.resume();
          void sleep(this.commandSeconds * 1000).then(() => {
            channel.exit(0);
            channel.end();
          });
        });
      });
    });
    this.servers.set(id, server);
    return new Promise((resolve) => server.listen(22, ipv4, resolve));
  }
}
