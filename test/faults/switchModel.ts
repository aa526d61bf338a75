import { strict as assert } from 'node:assert';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundledProgram } from '../../lab/bundle';
import { setFaults, faultsLeft } from '../../lab/cloud/faults';
import { project } from '../../lab/sources';
import type { Result, Stack } from '../../lab/stack';
import type { Row } from './bed';
import { ModelCloud } from './modelCloud';
import { switchFaults, titleOf } from './switchCalls';

/** One thing that fails in a switch. */
interface Failing {
  what: string;
  arm: (cloud: ModelCloud) => void;
  /** Whether it has failed. */
  hasCome: (cloud: ModelCloud) => boolean;
}

const commands = ['ready', 'yield', 'prepare', 'activate tls', 'activate opensmtpd', 'check'];

const failing: Failing[] = [
  ...[...switchFaults.refused, ...switchFaults.lost].map((fault): Failing => ({
    what: titleOf(fault),
    arm: ({ lab }) => setFaults(lab, [fault]),
    hasCome: ({ lab }) => faultsLeft(lab).every(({ times }) => times === 0),
  })),
  ...commands.map((command): Failing => ({
    what: `\`mailhost ${command}\` fails`,
    arm: (cloud) => {
      cloud.failsNext = new RegExp(`mailhost ${command}\\b`);
    },
    hasCome: ({ failsNext }) => failsNext === undefined,
  })),
];

/** A host of two servers in the model. */
class ModelPair {
  /** Generation of the server that serves, and of the other one. */
  private now = 1;
  private next = 2;

  private constructor(
    private readonly cloud: ModelCloud,
    private readonly stack: Stack,
  ) {}

  static async start(cloud: ModelCloud): Promise<ModelPair> {
    const config = join(cloud.lab.dir, 'Pulumi.bench.yaml');
    copyFileSync(join(project, 'Pulumi.dev.yaml'), config);
    const stack = await cloud.stack(project, { MAILHOST_LAB_PROGRAM: bundledProgram() }, config);
    const pair = new ModelPair(cloud, stack);
    assert.equal((await stack.up()).status, 0);
    await pair.set('standbyServer', 'true');
    const { status, output } = await stack.up();
    assert.equal(status, 0, output);
    return pair;
  }

  /** @returns how it ended: with the new server, or with the old one */
  async switch({ arm, hasCome }: Failing, goesBack: boolean): Promise<string> {
    const { cloud } = this;
    await this.set('serverGeneration', String(this.next));
    arm(cloud);
    const first = await this.stack.up();
    assert.ok(hasCome(cloud), `it never came to that:\n${first.output}`);
    setFaults(cloud.lab, []);
    const end = first.status === 0 ? 'ended all the same' : await this.recover(goesBack);
    if (!end.startsWith('went back')) [this.now, this.next] = [this.next, this.now];
    assert.ok(cloud.serving(), `no server serves: ${cloud.describe()}`);
    assert.deepEqual(cloud.wrong, []);
    return end;
  }

  private async recover(goesBack: boolean): Promise<string> {
    let end = 'went on';
    if (goesBack) {
      const { status, output } = await this.upTo(this.now);
      if (status === 0) return 'went back';
      if (this.cloud.serving()) {
        assert.match(output, /does not run, so its preparation fails/);
        await this.cloud.startAll(this.stack);
        assert.equal((await this.stack.up()).status, 0);
        return 'went back, with the other server started by hand';
      }
      // Where the provider would leave what it moved, or would not start a server, the plan changes nothing.
      assert.match(output, /which goes on|does not run: start it/);
      end = 'went on, as there was no way back';
    }
    const { status, output } = await this.upTo(this.next);
    assert.equal(status, 0, output);
    return end;
  }

  private async upTo(generation: number): Promise<Result> {
    await this.set('serverGeneration', String(generation));
    return this.stack.up();
  }

  private async set(key: string, value: string): Promise<void> {
    const { status, output } = await this.stack.run(['config', 'set', `mailhost:${key}`, value]);
    assert.equal(status, 0, output);
  }
}

export const modelledSwitches: Row = {
  name: 'switch-model',
  what: 'a switch fails before servers that only remember what was done to them',
  parts: failing.map(({ what }) => ({
    what: `${what}, during a switch of servers that only remember what was done to them`,
    runs: 2,
  })),
  expected: 'an `up` goes on, and back where there is a way, and a server serves with the volume',
  run: async () => {
    const ends = new Map<string, number>();
    const cloud = await ModelCloud.startModel(['example.org', 'example.net', 'example.com']);
    try {
      const pair = await ModelPair.start(cloud);
      for (const one of failing)
        for (const goesBack of [true, false]) {
          const end = await pair.switch(one, goesBack);
          console.log(`  ${one.what}: ${end}`);
          ends.set(end, (ends.get(end) ?? 0) + 1);
        }
    } finally {
      await cloud.close();
    }
    return [...ends].map(([end, count]) => `${count} ${end}`).join(', ');
  },
};
