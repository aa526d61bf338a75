import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { endLab, startFreshLab } from '../lab/lifecycle';
import { hostRoot, Machines } from '../lab/machines';
import { trust, type Login } from '../lab/mail';
import { addresses } from '../lab/network';
import { loginOf } from '../lab/proof';
import { remoteDkimKey, remoteSelector, remoteZone } from '../lab/remote/zone';
import type { Lab } from '../lab/state';
import { TestStack } from '../test/lab/testLab';
import { say } from './frame';
import { messages, type BenchMessage } from './messages';

const labName = 'benchmail';
/** On the host, on the volume that the mail is on. */
const folder = '/srv/mailhost/bench';
/** To the host, at once, for a batch. */
export const connections = 4;
/** SpamAssassin sees no more octets of a message than these, as Debian's amavis has it. */
const scanned = 200 * 1024;

/** A way into the host, and what goes over it. */
export interface Way {
  name: 'inbound' | 'submission';
  port: 25 | 587;
  to: 'anna@example.org' | 'bert@example.net';
  messages: (count: number) => Promise<BenchMessage[]>;
  /** What OpenSMTPD puts before a message, for SpamAssassin alone. */
  received: string;
}

/** What the daemons took while the host worked. */
interface Watched {
  time: number;
  memory: Record<string, number>;
  processor: Record<string, number>;
}

/** A finished mail host in a lab of its own, and what can be measured on it. */
export class MeasuredHost {
  private seed = 0;
  private readonly machines: Machines;
  readonly ways: Record<Way['name'], Way>;
  private logins: Record<Way['to'], Login> | undefined;

  private constructor(
    private readonly lab: Lab,
    private readonly stack: TestStack,
  ) {
    this.machines = new Machines(lab);
    const outside = addresses.outside.v4;
    const by = '\tby mail.example.org (OpenSMTPD)';
    const dkim = {
      domainName: remoteZone,
      keySelector: remoteSelector,
      privateKey: remoteDkimKey(lab.dir),
    };
    this.ways = {
      inbound: {
        name: 'inbound',
        port: 25,
        to: 'anna@example.org',
        messages: (count) =>
          messages(++this.seed, count, 'anna@example.org', {
            ham: { address: `bench@${remoteZone}`, dkim },
            spam: { address: 'bench@lab-cloud.example' },
          }),
        received: `Received: from mx.lab-cloud.example (mx.lab-cloud.example [${outside}])\n${by} with ESMTPS id 0a1b2c3d`,
      },
      submission: {
        name: 'submission',
        port: 587,
        to: 'bert@example.net',
        messages: (count) =>
          messages(++this.seed, count, 'bert@example.net', {
            ham: { address: 'anna@example.org' },
          }),
        received: `Received: from localhost\n${by} with ESMTPSA id 0a1b2c3d`,
      },
    };
  }

  static async inFreshLab(): Promise<MeasuredHost> {
    say('starting a fresh lab');
    const lab = await startFreshLab(labName);
    const stack = new TestStack(lab);
    await stack.select();
    const host = new MeasuredHost(lab, stack);
    const many = 1_000_000;
    await host.set({ messagesPerHour: many, recipientsPerDay: many, newRecipientsPerDay: many });
    for (const file of ['alone.pl', 'watch.py'])
      host.put(file, readFileSync(join(__dirname, 'onHost', file)));
    return host;
  }

  /** Changes settings of the stack. */
  async set(settings: Record<string, string | number>): Promise<void> {
    for (const [key, value] of Object.entries(settings))
      await this.stack.set(`mailhost:${key}`, String(value));
    const { status, output } = await this.stack.up();
    if (status !== 0) throw new Error(output);
    const outputs = this.stack.outputs();
    this.logins = {
      'anna@example.org': loginOf(outputs, 'anna@example.org'),
      'bert@example.net': loginOf(outputs, 'bert@example.net'),
    };
  }

  /** Runs a command on the host, while work goes on here. */
  private async run(command: string): Promise<string> {
    const [first, ...args] = this.machines.command(this.machines.ids()[0]!, ['sh', '-c', command]);
    return (await promisify(execFile)(first!, args)).stdout;
  }

  /** Writes a file into the folder on the host. */
  private put(name: string, content: Buffer): void {
    const path = join(hostRoot(this.lab), folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
  }

  /** Another number of amavis' workers than its configuration says; none: that one. */
  async setWorkers(count?: number): Promise<void> {
    const file = '/etc/amavis/conf.d/70-bench';
    const write =
      count === undefined ? `rm -f ${file}` : `echo '$max_servers = ${count}; 1;' >${file}`;
    await this.run(`${write} && mailhost restart amavis`);
  }

  async workers(): Promise<number> {
    return Number(
      await this.run('pgrep -c -P "$(systemctl show --property MainPID --value amavis)"'),
    );
  }

  /** The Bayes filter counts only once it knows 200 messages of each kind. */
  async teachBayes(count: number): Promise<void> {
    say(`Bayes learns from ${count} messages`);
    for (const [i, { raw, spam }] of (await this.ways.inbound.messages(count)).entries())
      this.put(`${spam ? 'spam' : 'ham'}/${i}`, raw);
    await this.run(
      `cd ${folder} && chown -R amavis . && for kind in spam ham; do runuser -u amavis -- sa-learn --$kind $kind && rm -r $kind; done`,
    );
  }

  private transport({ port, to }: Way, many: number) {
    const login = this.logins!['anna@example.org'];
    return createTransport({
      host: login.host,
      port,
      name: 'mx.lab-cloud.example',
      tls: trust(login),
      ...(to === login.user ? {} : { auth: { user: login.user, pass: login.password } }),
      pool: true,
      maxConnections: many,
      maxMessages: Infinity,
    });
  }

  private envelope({ port, to }: Way) {
    return { from: port === 25 ? 'bench@lab-cloud.example' : 'anna@example.org', to };
  }

  private folders({ to }: Way): string {
    const [user, domain] = to.split('@');
    const mail = `/srv/mailhost/mail/${domain}/${user}/mail`;
    return ['INBOX', 'Junk']
      .flatMap((folder) =>
        ['new', 'cur'].map((part) => `${mail}/Folders/${folder}/.maildir/${part}`),
      )
      .join(' ');
  }

  private async empty({ to }: Way): Promise<void> {
    await this.run(
      `for mailbox in INBOX Junk; do doveadm expunge -u ${to} mailbox $mailbox all; done`,
    );
  }

  /** @returns seconds from the first connection until all messages lie in the mailbox, and what the daemons took */
  async deliver(way: Way, batch: BenchMessage[], memory = false) {
    await this.empty(way);
    const before = await this.watch(`0 ${folder}`);
    const watched = this.watch(`${memory ? '--memory ' : ''}${batch.length} ${this.folders(way)}`);
    const begin = Date.now() / 1000;
    const transport = this.transport(way, connections);
    const envelope = this.envelope(way);
    await Promise.all(batch.map(({ raw }) => transport.sendMail({ envelope, raw })));
    const after = await watched;
    transport.close();
    const processor = Object.fromEntries(
      Object.entries(after.processor).map(([unit, s]) => [unit, s - (before.processor[unit] ?? 0)]),
    );
    return { seconds: after.time - begin, processor, memory: after.memory };
  }

  private async watch(what: string): Promise<Watched> {
    return JSON.parse(await this.run(`python3 ${folder}/watch.py ${what}`)) as Watched;
  }

  /** MB of each daemon. */
  async memory(): Promise<Record<string, number>> {
    return (await this.watch(`--memory 0 ${folder}`)).memory;
  }

  /** SpamAssassin alone with the same messages. @returns seconds for all, and for each */
  async alone({ received, to }: Way, batch: BenchMessage[], processes: number) {
    const head = `Return-Path: <bench@lab-cloud.example>\n${received}\n\tfor <${to}>;\n\t${new Date().toUTCString()}\n`;
    for (const [i, { raw }] of batch.entries())
      this.put(
        `alone/${i}`,
        Buffer.from(head + raw.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
      );
    const output = await this.run(
      `cd ${folder} && cp -r ../bayes . && chown -R amavis . && cd alone && runuser -u amavis -- perl ../alone.pl ${processes} ${folder}/bayes/bayes ${scanned} $(seq 0 ${batch.length - 1}) && rm -r ../alone ../bayes`,
    );
    const times = new Map(output.split('\n').map((line) => line.split(' ') as [string, string]));
    return {
      seconds: Number(times.get('all')),
      each: batch.map((_, i) => Number(times.get(String(i)))),
    };
  }

  /** @returns seconds from the connection until it lies in the mailbox, message by message */
  async latencies(batch: BenchMessage[], pause: number): Promise<number[]> {
    const way = this.ways.inbound;
    await this.empty(way);
    const seconds: number[] = [];
    for (const { raw } of batch) {
      const arrived = this.watch(`${seconds.length + 1} ${this.folders(way)}`);
      await sleep(pause);
      const transport = this.transport(way, 1);
      const begin = Date.now() / 1000;
      await transport.sendMail({ envelope: this.envelope(way), raw });
      seconds.push((await arrived).time - begin);
      transport.close();
    }
    return seconds;
  }

  async end(): Promise<void> {
    await endLab(this.lab);
  }
}
