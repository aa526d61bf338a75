import { createTransport } from 'nodemailer';
import { waitForMail, withImap } from '../lab/mail';
import { onHost } from '../lab/machines';
import { loginOf } from '../lab/proof';
import { Stack } from '../lab/stack';
import { findLab, waitFor, type Lab } from '../lab/state';
import { secondsText, spread, timed } from './statistics';

/**
 * What the host makes of inbound mail, as ratios to what SpamAssassin alone takes for the same messages on the same
 * machine: the latency of a single message, from the connection to port 25 to the notification of IMAP IDLE, and messages
 * a second, sent by four connections. Needs `make up`.
 */
const singles = 15;
const many = 60;
const workers = 2;
const folder = '/run/mailhost-bench';

const words =
  'the quick brown fox writes to a friend about lunch on friday and the weather in june'.split(' ');
/** A message of some 3 KB, different each time. */
function text(i: number): string {
  const line = (j: number) =>
    Array.from({ length: 12 }, (_, k) => words[(i * 7 + j * 5 + k * 3) % words.length]).join(' ');
  return Array.from({ length: 40 }, (_, j) => line(j)).join('\n');
}
const message = (i: number) => ({
  from: 'bench@elsewhere.example',
  to: 'anna@example.org',
  subject: `bench ${process.pid} ${i}`,
  text: text(i),
});

/** Scans the files that it is given as amavis does, in one process, and prints the time before, between and after. */
const scanner = `
use Mail::SpamAssassin; use Time::HiRes 'time';
my $sa = Mail::SpamAssassin->new({ dont_copy_prefs => 1, home_dir_for_helpers => '/var/lib/amavis' });
$sa->compile_now(0, 1);
print time, "\\n";
for my $file (@ARGV) {
  open my $handle, '<', $file or die; local $/; my $mail = $sa->parse(<$handle>);
  my $status = $sa->check($mail); $status->finish; $mail->finish;
  print time, "\\n";
}`;

/** Times of each run of the scanner, all of them at once. */
function scan(lab: Lab, ...runs: number[][]): number[][] {
  const perl = (numbers: number[], out: number) =>
    `runuser -u amavis -- perl ${folder}/scan.pl ${numbers.map((i) => `${folder}/${i}.eml`).join(' ')} > ${folder}/out.${out} &`;
  const output = onHost(
    lab,
    `${runs.map(perl).join('\n')}\nwait\nfor i in ${runs.map((_, i) => i).join(' ')}; do tr '\\n' ' ' < ${folder}/out.$i; echo; done`,
  );
  return output
    .trim()
    .split('\n')
    .map((line) => line.trim().split(' ').map(Number));
}

async function main(): Promise<void> {
  const lab = findLab('dev');
  if (lab === undefined) throw new Error('no lab is up: make up');
  const login = loginOf(new Stack(lab).outputs(), 'anna@example.org');
  const send = (connections: number) =>
    createTransport({
      host: login.host,
      port: 25,
      name: 'mx.elsewhere.example',
      tls: { rejectUnauthorized: false },
      pool: true,
      maxConnections: connections,
      maxMessages: Infinity,
    });

  const latencies: number[] = [];
  await withImap(login, async (client) => {
    await client.mailboxOpen('INBOX');
    for (let i = 0; i < singles; i++) {
      const transport = send(1);
      const arrived = new Promise((resolve) => client.once('exists', resolve));
      const idle = client.idle();
      latencies.push(
        await timed(async () => {
          await transport.sendMail(message(i));
          await arrived;
        }),
      );
      transport.close();
      await client.noop();
      await idle;
    }
  });

  const transport = send(4);
  const numbers = Array.from({ length: many }, (_, i) => 1000 + i);
  const seconds = await timed(async () => {
    await Promise.all(numbers.map((i) => transport.sendMail(message(i))));
    await waitFor('the queue is empty', () => onHost(lab, 'smtpctl show queue') === '');
  });
  transport.close();
  await waitForMail(login, message(numbers.at(-1)!).subject);

  // The very messages, as they were delivered.
  onHost(
    lab,
    `mkdir -p ${folder}; cat > ${folder}/scan.pl <<'EOF'\n${scanner}\nEOF\ncd /srv/mailhost/mail/example.org/anna/mail
for i in ${[...Array(singles).keys(), ...numbers].join(' ')}; do cp "$(grep -rl "^Subject: bench ${process.pid} $i$" cur new | head -1)" ${folder}/$i.eml; done
chown -R amavis ${folder}`,
  );
  const [alone] = scan(lab, [...Array(singles).keys()]);
  const aloneEach = alone!.slice(1).map((time, i) => time - alone![i]!);
  const halves = Array.from({ length: workers }, (_, w) =>
    numbers.filter((i) => i % workers === w),
  );
  const times = scan(lab, ...halves);
  const aloneSeconds =
    Math.max(...times.map((t) => t.at(-1)!)) - Math.min(...times.map((t) => t[0]!));
  onHost(lab, `rm -r ${folder}`);

  const latency = spread(latencies);
  const scanning = spread(aloneEach);
  const rate = many / seconds;
  const aloneRate = many / aloneSeconds;
  console.log(
    `one message, port 25 to IDLE: ${secondsText(latency)}; SpamAssassin alone: ${secondsText(scanning)}; ratio ${(latency.median / scanning.median).toFixed(2)}`,
  );
  console.log(
    `${many} messages by four connections: ${rate.toFixed(1)} a second; SpamAssassin alone in ${workers} processes: ${aloneRate.toFixed(1)}; ratio ${(rate / aloneRate).toFixed(2)}`,
  );
}

void main();
