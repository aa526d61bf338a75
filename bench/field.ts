import { onHost } from '../lab/machines';
import { proofs } from '../lab/proof';
import { findLab, type Lab } from '../lab/state';
import { endLab, startFreshLab } from '../lab/lifecycle';
import { changes, TestStack } from '../test/lab/testLab';
import { EngineOnly, resourceCounts } from './engineOnly/program';
import { BareMachine } from './field/bareMachine';
import { contenders } from './field/contenders';
import { differences, finishedHost, look, onHostScript, planned } from './field/finished';
import { Kit } from './field/kit';
import { tools } from './field/tools';
import { figure, ratio, say, timed, type Figure, type Goal, type Part } from './frame';

const labName = 'bench';

/** What is measured, run by run, in the order in which it comes first. */
class Measured {
  private readonly series = new Map<string, { unit: string; values: number[] }>();

  add(name: string, value: number, unit = 's'): void {
    say(`${name}: ${value.toFixed(2)} ${unit}`);
    const { values } = this.series.get(name) ?? { values: [] };
    this.series.set(name, { unit, values: [...values, value] });
  }

  figure(name: string, goal?: Goal): Figure {
    const { unit, values } = this.series.get(name)!;
    return figure(name, unit, values, goal);
  }

  has(name: string): boolean {
    return this.series.has(name);
  }

  figures(): Figure[] {
    return [...this.series.keys()].map((name) => this.figure(name));
  }
}

/** Our own host in one round, and what of it the others are made from and compared with. */
class OurHost {
  private constructor(
    readonly lab: Lab,
    readonly stack: TestStack,
  ) {}

  static async inFreshLab(): Promise<OurHost> {
    say('starting a fresh lab');
    const lab = await startFreshLab(labName);
    const stack = new TestStack(lab);
    await stack.select();
    return new OurHost(lab, stack);
  }

  /** @returns what the engine says that it did */
  async up(): Promise<Record<string, number>> {
    const { status, output } = await this.stack.up();
    if (status !== 0) throw new Error(output);
    return changes(output);
  }

  /** The other end of SSH keeps count of the logins. */
  logins(): number {
    return Number(
      onHost(this.lab, 'journalctl --unit ssh --grep "^Accepted publickey" | grep -c Accepted'),
    );
  }

  /** The main process of each service. */
  services(): Map<string, string> {
    const output = onHostScript(
      this.lab,
      `for unit in nftables fail2ban unbound spamd dovecot amavis opensmtpd nginx; do
  echo "$unit $(systemctl show --property MainPID,ActiveEnterTimestampMonotonic --value $unit | tr '\\n' ' ')"
done`,
    );
    return new Map(
      output
        .trim()
        .split('\n')
        .map((line) => [line.split(' ')[0]!, line]),
    );
  }
}

async function prove(lab: Lab, stack: TestStack, name: string): Promise<void> {
  say(`${name}: proving from outside that mail works`);
  for (const { title, run } of proofs(lab, stack.outputs())) {
    await run().catch((error: unknown) => {
      throw new Error(`${name}: ${title}`, { cause: error });
    });
  }
}

/** Another value of the setting behind the one line that is changed, each time. */
let limit = 200;

/** @param runs of what is cheap */
async function ourRound(measured: Measured, ours: OurHost, runs: number): Promise<Kit> {
  const { lab, stack } = ours;
  measured.add('first up: ours', await timed(() => ours.up()));
  await prove(lab, stack, 'ours');
  const kit = new Kit(lab, finishedHost(stack));

  const counts = resourceCounts(stack);
  const resources = Object.values(counts).reduce((sum, count) => sum + count);
  const bare = {
    'as many resources of the same packages': new EngineOnly(stack, 'packages', counts),
    'as many resources of no package': new EngineOnly(stack, 'nothing', { mailhost: resources }),
  };
  for (const program of Object.values(bare)) program.create();
  for (let run = 0; run < runs; run++) {
    const before = ours.logins();
    measured.add('nothing changed: ours', await timed(() => ours.up()));
    measured.add('nothing changed: SSH connections of ours', ours.logins() - before, '');
    for (const [name, program] of Object.entries(bare))
      measured.add(`nothing changed: ${name}`, await timed(() => program.up()));
  }
  for (const program of Object.values(bare)) program.destroy();
  return kit;
}

async function changeOurs(measured: Measured, ours: OurHost): Promise<void> {
  await ours.stack.set('mailhost:messagesPerHour', String(++limit));
  const logins = ours.logins();
  const services = ours.services();
  measured.add('one line changed: ours', await timed(() => ours.up()));
  assertLimit(ours.lab, 'ours');
  measured.add('one line changed: SSH connections of ours', ours.logins() - logins, '');
  const restarted = [...ours.services()].filter(([unit, state]) => services.get(unit) !== state);
  measured.add('one line changed: services that ours restarts', restarted.length, '');
}

/** The change is there. */
function assertLimit(lab: Lab, name: string): void {
  const there = onHost(lab, 'grep -o "messages-per-hour [0-9]*" /etc/smtpd.conf').trim();
  if (there !== `messages-per-hour ${limit}`) throw new Error(`${name}: ${there}, not ${limit}`);
}

async function run({ quick }: { quick: boolean }): Promise<Figure[]> {
  const rounds = quick ? 1 : 3;
  const others = contenders.filter(({ name }) => !quick || name === 'floor');
  const measured = new Measured();
  if (!quick) {
    tools();
    const warm = await OurHost.inFreshLab();
    say('an up that is not measured: all packages are in the cache after it');
    await warm.up();
  }
  for (let round = 0; round < rounds; round++) {
    const ours = await OurHost.inFreshLab();
    const { lab, stack } = ours;
    const kit = await ourRound(measured, ours, quick ? 1 : 2);
    const files = planned(kit.finished);
    const paths = Object.keys(files);
    const expected = { ...look(lab, paths), files };
    mustBeEqual('ours', differences(expected, look(lab, paths)));
    await changeOurs(measured, ours);

    const machine = new BareMachine(lab);
    for (const { name, first, again } of others) {
      await machine.delete();
      const own = kit.messagesPerHour;
      measured.add(
        `first up: ${name}`,
        await timed(async () => {
          kit.set({ volume: await machine.create(kit.finished), messages_per_hour: own });
          await first(kit);
        }),
      );
      mustBeEqual(name, differences(expected, look(lab, paths)));
      await prove(lab, stack, name);
      if (!again) continue;
      measured.add(`nothing changed: ${name}`, await timed(() => again(kit)));
      mustBeEqual(name, differences(expected, look(lab, paths)));
      kit.set({ messages_per_hour: ++limit });
      measured.add(`one line changed: ${name}`, await timed(() => again(kit)));
      assertLimit(lab, name);
    }
  }
  const left = findLab(labName);
  if (left) await endLab(left);

  const of = (name: string) => measured.figure(name);
  const against = (what: string, by: string, most: number) =>
    measured.has(`${what}: ${by}`)
      ? [ratio(of(`${what}: ours`), of(`${what}: ${by}`), { most })]
      : [];
  return [
    ...against('first up', 'floor', 1.15),
    ...against('first up', 'Ansible', 0.7),
    ...against('first up', 'pyinfra', 0.8),
    ...against('nothing changed', 'as many resources of the same packages', 1.2),
    ...against('nothing changed', 'as many resources of no package', 1.2),
    ...against('nothing changed', 'Ansible', 0.25),
    measured.figure('nothing changed: SSH connections of ours', { most: 0 }),
    ...against('one line changed', 'Ansible', 0.4),
    ...against('one line changed', 'pyinfra', 0.8),
    measured.figure('one line changed: SSH connections of ours', { most: 1 }),
    measured.figure('one line changed: services that ours restarts', { most: 1 }),
    ...measured.figures().filter(({ unit }) => unit === 's'),
  ];
}

function mustBeEqual(name: string, found: string[]): void {
  if (found.length > 0) throw new Error(`${name}: is another host:\n${found.join('\n')}`);
}

export const field: Part = {
  title: 'The same host, made by others',
  method: `The same finished host is made by **ours** (\`pulumi up --skip-preview\`), by **Ansible** (ansible-core, pipelining, one playbook
with templates, validation and handlers), by **pyinfra**, and by the **floor**: one shell script over one SSH connection,
which installs the packages, unpacks the files and starts the services, and checks nothing. Each begins with a bare
machine being asked for at the lab's Hetzner API. All get the same files, byte by byte, and after each the mode, owner and
hash of every managed file, the packages with their versions, and the services are compared, and mail is sent and read
from outside. Ours also makes keys, addresses, firewall and DNS, and checks mail on the host, in its time; the others
find the first four there, and Ansible and pyinfra wait for ports alone. For its first packages ours tells dpkg not to wait
for the disk (\`--force-unsafe-io\`), which the others do not. The change of one line is the number of messages
that a login may send in an hour, in OpenSMTPD's configuration.`,
  run,
};
