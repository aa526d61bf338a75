import { strict as assert } from 'node:assert';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Probe, services } from '../../bench/probe';
import { setFaults, faultsLeft, type Fault } from '../../lab/cloud/faults';
import { Machines } from '../../lab/machines';
import { waitFor } from '../../lab/state';
import { begun, done, fails, killAt, succeeds, type Bed, type Point, type Row } from './bed';
import { hcloud, settles } from './cloud';
import { flowing, type Flow } from './flow';
import { switchFaults, titleOf } from './switchCalls';

const server = '(second-)?server';
const updated = (what: string): Point => ({ line: new RegExp(`${what} updated`), wait: 0 });
const updating = (what: string, wait: number): Point => ({
  line: new RegExp(`${what} updating`),
  wait,
});

/** Where a switch is killed: between its parts, and in each of them. */
const switchPoints: Point[] = [
  begun('Command mail-machine-ready-\\d+'),
  done('Command mail-machine-ready-\\d+'),
  begun('Command mail-machine-yield-\\d+', 1000),
  done('Command mail-machine-yield-\\d+'),
  ...[200, 600, 1200, 2000].map((wait) => updating(`Server mail-machine-${server}`, wait)),
  updated(`Server mail-machine-${server}`),
  { line: /VolumeAttachment mail-machine-volume (deleting|replacing)/, wait: 200 },
  { line: /VolumeAttachment mail-machine-volume creating/, wait: 200 },
  { line: /VolumeAttachment mail-machine-volume creat(ed|ing replacement)/, wait: 0 },
  ...['host-program', 'host-system', 'tls', 'dovecot', 'amavis', 'opensmtpd', 'check'].map(
    (push): Point => ({ line: new RegExp(`Command mail-${push} (creating|replacing)`), wait: 500 }),
  ),
];

/** Two servers of a host, while mail comes in. */
class Pair {
  /** Generation of the server that serves. */
  private serving = 1;
  private beside = 2;
  /** What became of what failed, each with how often. */
  private readonly ends = new Map<string, number>();

  private constructor(
    private readonly bed: Bed,
    private readonly flow: Flow,
  ) {}

  /** Prepares a standby server for some work, and deletes the one that does not serve after it. */
  static async with(bed: Bed, name: string, work: (pair: Pair) => Promise<void>): Promise<string> {
    const { stack } = bed;
    let ends = '';
    const seen = await flowing(bed, name, async (flow) => {
      await flow.more(3);
      await stack.set('mailhost:standbyServer', 'true');
      await succeeds(bed);
      const pair = new Pair(bed, flow);
      const { generation } = stack.outputs().standbyServer!;
      [pair.serving, pair.beside] = [generation - 1, generation];
      await work(pair);
      await stack.set('mailhost:standbyServer', 'false');
      await succeeds(bed);
      await flow.more(3);
      ends = [...pair.ends].map(([end, count]) => `${count} ${end}`).join(', ');
    });
    await settles(bed);
    return [ends, seen].filter(Boolean).join('; ');
  }

  private wants = (generation: number) =>
    this.bed.stack.set('mailhost:serverGeneration', String(generation));

  /** Switches, and gives the longest time without an answer of each service, in s. */
  async measured(): Promise<Record<'SMTP' | 'IMAP', number>> {
    const host = this.bed.stack.outputs().ipv4;
    const probes = {
      SMTP: new Probe(host, services.SMTP),
      IMAP: new Probe(host, services.IMAP),
    };
    const begin = Date.now();
    let end = 0;
    try {
      await this.wants(this.beside);
      await succeeds(this.bed);
      this.turn();
      end = Date.now();
      await waitFor('SMTP and IMAP answer', () =>
        Object.values(probes).every((probe) => probe.hasAnswered(end)),
      );
    } finally {
      for (const probe of Object.values(probes)) await probe.stop();
    }
    return {
      SMTP: probes.SMTP.longestWait(begin, end),
      IMAP: probes.IMAP.longestWait(begin, end),
    };
  }

  /**
   * Begins a switch that something disturbs, and goes on or back by turns. Mail is taken again after each.
   *
   * @param disturbed runs `up`, and says whether it came to its end
   */
  async disturb(what: string, goesBack: boolean, disturbed: () => Promise<boolean>): Promise<void> {
    await this.wants(this.beside);
    const end = (await disturbed()) ? 'ended at once' : await this.recover(goesBack);
    if (end !== 'went back') this.turn();
    this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
    console.log(`  ${what}: ${end}`);
    await this.flow.more(2);
  }

  private async recover(goesBack: boolean): Promise<string> {
    let end = 'went on';
    if (goesBack) {
      await this.wants(this.serving);
      const { status, output } = await this.bed.stack.up();
      if (status === 0) return 'went back';
      // Where the provider would leave what it moved, the plan is stopped before anything is touched.
      assert.match(output, /which goes on/);
      end = 'went on, as there was no way back';
    }
    await this.wants(this.beside);
    await succeeds(this.bed);
    return end;
  }

  private turn(): void {
    [this.serving, this.beside] = [this.beside, this.serving];
  }
}

const disturbedRow = (name: keyof typeof switchFaults, faults = switchFaults[name]): Row => ({
  name: `switch-${name}`,
  what: 'Hetzner fails during a switch to a standby server',
  parts: faults.map((fault) => ({ what: `${titleOf(fault)}, during a switch`, runs: 1 })),
  expected: 'an `up` goes on or back each time and the host serves, 0 messages lost',
  run: (bed) =>
    Pair.with(bed, name, async (pair) => {
      for (const [i, fault] of faults.entries())
        await pair.disturb(titleOf(fault), i % 2 === 1, async () => {
          setFaults(bed.lab, [fault]);
          try {
            const { status } = await bed.stack.up();
            assert.deepEqual(
              faultsLeft(bed.lab).filter(({ times }) => times > 0),
              [],
              'never came',
            );
            return status === 0;
          } finally {
            setFaults(bed.lab, []);
          }
        });
    }),
});

const killedSwitch: Row = {
  name: 'switch-killed',
  what: `a switch to a standby server is killed at ${switchPoints.length} points`,
  runs: switchPoints.length,
  expected: 'an `up` goes on or back each time and the host serves, 0 messages lost',
  run: (bed) =>
    Pair.with(bed, 'killed', async (pair) => {
      for (const [i, point] of switchPoints.entries())
        await pair.disturb(point.line.source, i % 2 === 1, async () => {
          const at = await killAt(bed.stack, [point]);
          assert.ok(at, `never came to ${point.line.source}`);
          return false;
        });
    }),
};

/** A machine that is being made, and writes a file into it. */
type Meddle = (
  machines: Machines,
  id: number,
  write: (path: string, text: string) => void,
) => unknown;

/** Does something to a second machine before it boots. */
async function meddling({ lab }: Bed, meddle: Meddle): Promise<void> {
  const machines = new Machines(lab);
  const before = machines.ids();
  const id = await waitFor('the second machine is made', () =>
    machines.ids().find((one) => !before.includes(one)),
  );
  await meddle(machines, id, (path, text) => {
    const file = join(lab.dir, 'machines', String(id), 'root', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  });
}

/** What a preparation fails for, and the words that say so. */
interface Unprepared {
  what: string;
  words: RegExp;
  fault?: Fault;
  serverType?: string;
  meddle?: Meddle;
}

const unprepared: Unprepared[] = [
  {
    what: 'Hetzner has no capacity (412)',
    words: /The server that serves is not touched/,
    fault: hcloud('POST', '/servers', { done: false, status: 412 }),
  },
  { what: 'the server type is retired', words: /cx22[^\n]*/, serverType: 'cx22' },
  {
    what: 'the image is of another Debian',
    words: /the mail host needs Debian 13/,
    meddle: (_, id, write) => write('usr/lib/os-release', 'ID=debian\nVERSION_ID="12"\n'),
  },
  {
    what: "apt's mirror is down",
    words: /(Failed to fetch|Could not connect|Unable to connect)/,
    meddle: (_, id, write) =>
      write('etc/apt/apt.conf.d/99dead', 'Acquire::http::Proxy "http://127.0.0.1:9";\n'),
  },
  {
    what: 'the disk has no room for the packages',
    words: /(free space|No space left)/,
    meddle: (_, id, write) => {
      const [folder, unit] = ['/var/cache/apt/archives', 'var-cache-apt-archives.mount'];
      write(
        `etc/systemd/system/${unit}`,
        `[Mount]\nWhat=tmpfs\nWhere=${folder}\nType=tmpfs\nOptions=size=256k\n`,
      );
      write('etc/systemd/system/local-fs.target.d/small.conf', `[Unit]\nWants=${unit}\n`);
    },
  },
  {
    what: 'the boot hangs',
    words: /cannot be reached/,
    meddle: async (machines, id) => {
      await waitFor('the second machine boots', () => machines.leader(id) !== undefined);
      await machines.powerOff(id);
    },
  },
];

const unpreparedRow: Row = {
  name: 'standby-fails',
  what: 'a standby server cannot be prepared',
  parts: unprepared.map(({ what }) => ({ what: `${what}, of a standby server`, runs: 1 })),
  expected: 'the `up` fails, the host serves on as if nothing was: 0 messages refused or lost',
  run: async (bed) => {
    const { lab, stack } = bed;
    const words: string[] = [];
    const seen = await flowing(bed, 'unprepared', async (flow) => {
      await flow.more(3);
      const refusedBefore = flow.refused;
      for (const one of unprepared) {
        await stack.set('mailhost:standbyServer', 'true');
        if (one.serverType) await stack.set('mailhost:serverType', one.serverType);
        if (one.fault) setFaults(lab, [one.fault]);
        const [found] = await Promise.all([
          fails(bed, one.words),
          one.meddle && meddling(bed, one.meddle),
        ]);
        words.push(`${one.what}: "${found}"`);
        console.log(`  ${words.at(-1)!}`);
        if (one.serverType) await stack.unset('mailhost:serverType');
        await stack.set('mailhost:standbyServer', 'false');
        await succeeds(bed);
        await flow.more(2);
        assert.equal(flow.refused, refusedBefore, one.what);
      }
    });
    await settles(bed);
    return `${words.join(', ')}; ${seen}`;
  },
};

/** In how many s, least, middle and most. */
function spread(values: number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!.toFixed(1);
  return `${at(0)} to ${at(1)} s, the median is ${at(0.5)} s`;
}

const manySwitches = (runs: number): Row => ({
  name: 'switches',
  what: 'a standby server takes over, and gives back, under a flow of mail',
  runs,
  expected: '0 messages lost',
  run: async (bed) => {
    const waits: Record<'SMTP' | 'IMAP', number>[] = [];
    const seen = await Pair.with(bed, 'switches', async (pair) => {
      for (let i = 0; i < runs; i++) {
        const wait = await pair.measured();
        console.log(`  ${wait.SMTP} s without SMTP, ${wait.IMAP} s without IMAP`);
        waits.push(wait);
      }
    });
    const without = (['SMTP', 'IMAP'] as const).map(
      (name) => `without ${name} for ${spread(waits.map((wait) => wait[name]))}`,
    );
    return `${without.join('; ')}; ${seen}`;
  },
});

export const switchRows: Row[] = [
  manySwitches(20),
  disturbedRow('refused'),
  disturbedRow('lost'),
  disturbedRow('silent'),
  killedSwitch,
  unpreparedRow,
];
