import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { daemons } from '../components/daemons';
import { hostSpecs, portsOf, systemUsers } from '../components/daemons/catalogue';
import { mailClient } from '../components/nextSteps';

const root = join(__dirname, '..');

const table = (head: string[], rows: (string | number)[][]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const reach = { everyone: 'everyone', admins: '`adminNetworks`', host: 'this host' };

/** All ports that the daemons listen on. */
const ports = (): string =>
  table(
    ['Port', 'Service', 'Protocol', 'TLS', 'Daemon', 'For', 'Open to'],
    daemons
      .flatMap((daemon) => portsOf(daemon).map((port) => ({ ...port, title: daemon.title })))
      .filter(({ isOpenFor }) => isOpenFor === undefined)
      .sort((a, b) => a.number - b.number)
      .map(({ number, service, protocol, security, title, purpose, from }) => [
        number,
        service,
        protocol,
        { TLS: 'from the start', STARTTLS: 'STARTTLS', none: 'none' }[security ?? 'none'],
        title,
        purpose,
        reach[from],
      ]),
  );

/** What a mail client is set up with. */
function clients(): string {
  const { incoming, outgoing, outgoingElse, sieve } = mailClient('', 'virtual');
  return table(
    ['What', 'Port', 'Security'],
    [
      [incoming.protocol, incoming],
      [outgoing.protocol, outgoing],
      [`${outgoingElse.protocol}, where ${outgoing.port} is not`, outgoingElse],
      [sieve.protocol, sieve],
    ].map(([what, service]) => {
      const { port, security } = service as typeof sieve;
      return [what as string, port, security];
    }),
  );
}

/** As sysusers.d(5) has it. */
function users(): string {
  const rows = [
    ['#Type', 'Name', 'ID', 'GECOS', 'Home directory', 'Shell'],
    ...systemUsers().map(({ name, id, home }) => [
      'u',
      name,
      String(id),
      '-',
      home,
      '/usr/sbin/nologin',
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(' ')
      .trimEnd(),
  );
  return [
    '# Made from the specs of the daemons by `make docs`. The volume outlives the server, so its owners must have the same',
    '# numbers on the next one.',
    ...lines,
    '',
  ].join('\n');
}

/** A page of documentation with another table between the marks of that name. */
function pageWith(path: string, name: string, text: string): Promise<string> {
  const page = readFileSync(join(root, path), 'utf8').replace(
    new RegExp(`(?<=<!-- ${name}: made by make docs -->\n)[^]*(?=<!-- ${name} end -->)`),
    () => `\n${text}\n\n`,
  );
  return formatted(page, 'markdown');
}

const formatted = async (text: string, parser: 'json' | 'markdown'): Promise<string> =>
  format(text, { ...(await resolveConfig(__filename)), parser });

/** What follows from the daemons' specs and is kept in files, by path. */
export const daemonsReference = async (): Promise<Record<string, string>> => ({
  'files/usr/local/lib/mailhost/specs.json': await formatted(JSON.stringify(hostSpecs()), 'json'),
  'files/etc/sysusers.d/mailhost.conf': users(),
  'docs/hardening.md': await pageWith('docs/hardening.md', 'ports', ports()),
  'docs/mail-clients.md': await pageWith('docs/mail-clients.md', 'mail clients', clients()),
});

async function main(): Promise<void> {
  for (const [path, text] of Object.entries(await daemonsReference())) {
    writeFileSync(join(root, path), text);
  }
}

if (require.main === module) void main();
