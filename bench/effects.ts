import { isKept } from '../lab/keep';
import { endLab, startFreshLab, startLab } from '../lab/lifecycle';
import { findLab, waitFor, type Lab } from '../lab/state';
import { loginOf } from '../lab/proof';
import { pushChanged } from '../test/faults/host';
import { TestStack } from '../test/lab/testLab';
import { figure, say, spread, type Figure, type Options, type Part } from './frame';
import { MessageFlow } from './messageFlow';
import { Probe, services } from './probe';

const labName = 'bencheffects';

/** A file of each push, in which a comment changes nothing but the file. */
const files: Record<string, string> = {
  firewall: '/etc/nftables.conf',
  ssh: '/etc/ssh/sshd_config.d/10-mailhost.conf',
  fail2ban: '/etc/fail2ban/jail.local',
  resolver: '/etc/unbound/unbound.conf.d/mailhost.conf',
  spamassassin: '/etc/spamassassin/local.cf',
  dovecot: '/etc/dovecot/dovecot.conf',
  amavis: '/etc/amavis/conf.d/60-mailhost',
  opensmtpd: '/etc/smtpd.conf',
  web: '/etc/nginx/nginx.conf',
};

/** What users notice of a change, in seconds. */
interface Waits {
  SMTP: number;
  IMAP: number;
  mail: number;
}

/** A finished host, with clients that connect and mail that comes in all the time. */
class WatchedHost {
  private constructor(
    readonly lab: Lab,
    readonly stack: TestStack,
    private readonly probes: { SMTP: Probe; IMAP: Probe },
    private readonly flow: MessageFlow,
  ) {}

  static async begin(): Promise<WatchedHost> {
    const kept = 'test-host';
    say(isKept(kept) ? 'starting a copy of the finished host' : 'making a finished host');
    const left = findLab(labName);
    if (left) await endLab(left);
    const lab = isKept(kept) ? await startLab(labName, kept) : await startFreshLab(labName);
    const stack = new TestStack(lab);
    await stack.select();
    const { status, output } = await stack.up();
    if (status !== 0) throw new Error(output);
    const login = loginOf(stack.outputs(), 'anna@example.org');
    const probes = {
      SMTP: new Probe(login.host, services.SMTP),
      IMAP: new Probe(login.host, services.IMAP),
    };
    return new WatchedHost(lab, stack, probes, new MessageFlow(lab, login));
  }

  /** What clients and senders wait for while `work` is done, and until mail comes in as before. */
  async during(work: () => Promise<unknown>): Promise<Waits> {
    await this.flow.atRest();
    const begin = Date.now();
    await work();
    const end = Date.now();
    await waitFor('SMTP and IMAP answer', () =>
      Object.values(this.probes).every((probe) => probe.hasAnswered(end)),
    );
    await this.flow.atRest();
    return {
      SMTP: this.probes.SMTP.longestWait(begin, end),
      IMAP: this.probes.IMAP.longestWait(begin, end),
      mail: this.flow.longestWait(begin, end),
    };
  }

  async up(settings: Record<string, string>, ...options: string[]): Promise<void> {
    await this.stack.setAll(settings);
    const { status, output } = await this.stack.run(['up', '--yes', '--skip-preview', ...options]);
    if (status !== 0) throw new Error(output);
  }

  async end(): Promise<void> {
    await this.flow.stop();
    for (const probe of Object.values(this.probes)) await probe.stop();
    await endLab(this.lab);
  }
}

/** A change that is measured, by the name of what it pushes, or of what becomes of the server. */
type Change = [name: string, runs: number, work: (run: number) => Promise<unknown>];

async function run({ quick }: Options): Promise<Figure[]> {
  const runs = quick ? 1 : 5;
  const host = await WatchedHost.begin();
  const certificate = host.stack
    .resources()
    .find(({ type }) => type === 'tls:index/locallySignedCert:LocallySignedCert')!.urn;
  const changes: Change[] = [
    ['nothing', runs, () => host.stack.run(['preview'])],
    ...Object.entries(files).map(([push, path]): Change => [
      push,
      runs,
      (run) => pushChanged(host.lab, push, [{ path, text: `# ${run}\n` }]),
    ]),
    ['tls', runs, () => host.up({}, '--replace', certificate)],
    ['server resized', quick ? 0 : 1, () => host.up({ serverType: 'cx33' })],
    ['standby prepared', 1, () => host.up({ standbyServer: 'true' })],
    ['server switched', 1, () => host.up({ serverGeneration: '2' })],
    ['standby removed', 1, () => host.up({ standbyServer: 'false' })],
    ['server replaced', quick ? 1 : 2, (run) => host.up({ serverGeneration: String(run + 2) })],
  ];
  const figures: Figure[] = [];
  for (const [name, count, work] of changes) {
    const waits: Waits[] = [];
    for (let run = 1; run <= count; run++) {
      const seen = await host.during(() => work(run));
      waits.push(seen);
      say(`${name}: ${JSON.stringify(seen)}`);
    }
    if (waits.length === 0) continue;
    for (const [what, label] of Object.entries(labels))
      figures.push(
        figure(
          `${name}: ${label}`,
          's',
          waits.map((seen) => seen[what as keyof Waits]),
        ),
      );
  }
  await host.end();
  return figures;
}

const labels: Record<keyof Waits, string> = {
  SMTP: 'without SMTP',
  IMAP: 'without IMAP',
  mail: 'mail waits',
};

/** Whole seconds of the worst run, by what was changed; what nobody notices is left out. */
function worst(figures: Figure[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, values } of figures) {
    const [change = ''] = name.split(': ');
    found.set(change, Math.max(found.get(change) ?? 0, spread(values).max));
  }
  return new Map(
    [...found].filter(([, value]) => value >= 0.5).map(([name, value]) => [name, Math.ceil(value)]),
  );
}

/** The module that the review takes its times from. */
export function measuredModule(figures: Figure[]): string {
  const all = worst(figures);
  const rows = Object.keys({ ...files, tls: '' })
    .sort()
    .filter((name) => all.has(name))
    .map((name) => `  ${name}: ${all.get(name)},\n`);
  return `// Made by \`make bench-effects\`; bench/README.md has the runs, and how they were measured.

/** Seconds for which SMTP, IMAP or a message waits at most, by the push. A push that nobody notices is missing. */
export const heldMail: Readonly<Record<string, number>> = {
${rows.join('')}};

/** Seconds without SMTP or IMAP while the server is resized. */
export const resizedServer: number | undefined = ${all.get('server resized')};

/** Seconds without SMTP or IMAP while the server is replaced. */
export const replacedServer: number | undefined = ${all.get('server replaced')};

/** Seconds without SMTP or IMAP while a standby server takes over. */
export const switchedServer: number | undefined = ${all.get('server switched')};
`;
}

export const effects: Part = {
  title: 'What a change does to mail',
  method: `A finished host in the lab, while a client connects ten times a second to port 25 and to port 993, each time anew, and a
message comes in each second. **Without SMTP**, **without IMAP**: what a client waits that connects at the worst moment, and again
until it gets a greeting. **Mail waits**: how much longer than at rest the slowest message takes from the answer of the host to
its mailbox. The pushes change a comment in one file of the daemon, by the command that \`pulumi up\` runs; *tls* is a \`pulumi up\`
with another certificate, *server resized* and *server replaced* are those of \`serverType\` and \`serverGeneration\`. In the lab a
server boots in seconds, and packages come from a cache: at Hetzner the two last take longer. ClamAV is not among the pushes: how
long it loads its signatures depends on their number, and the lab has one. *Nothing* is a \`pulumi preview\`. The review
(\`mailhost review\`) names the worst of all runs, in whole seconds.`,
  run,
};
