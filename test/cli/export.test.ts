import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exportAll, type Request } from '../../cli/export/export';
import { configChanges, readStack } from '../../cli/import/changes';
import { readOldHost } from '../../cli/import/readers';
import type { onHost } from '../../components/ssh';

const hash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;
// What export_accounts.py writes: test/host/export_test.py.
const tables = {
  accounts: `anna@example.org:{SHA512-CRYPT}${hash}::::::userdb_quota_rule=*:storage=500M userdb_send_as=team@example.org\no'neil@example.org:{SHA512-CRYPT}${hash}::::::\n`,
  aliases: `info@example.org anna@example.org\nteam@example.org anna@example.org,o'neil@example.org\n@example.org anna@example.org\n`,
};
const connection = { host: '192.0.2.1', user: 'root', hostKey: 'k', privateKey: 'k' };

describe('mailhost export', () => {
  let to: string;
  let asked: string[];
  let failing: string[];
  beforeEach(() => {
    to = mkdtempSync(join(tmpdir(), 'export-'));
    asked = [];
    failing = [];
  });
  afterEach(() => rmSync(to, { recursive: true }));

  const run = (async (_connection, command, _stdin, _seconds, file?: Writable) => {
    asked.push(command);
    if (file) await pipeline([`tar of ${command}`], file);
    const status = failing.some((word) => command.includes(word)) ? 1 : 0;
    const stdout = file ? '' : JSON.stringify(tables);
    return {
      status,
      stdout,
      stderr: status === 0 ? 'x: 1 messages' : 'mailhost: disk full',
    };
  }) as typeof onHost;
  const take = (request: Partial<Request>) =>
    exportAll(
      connection,
      { accounts: [], mail: true, format: 'maildir', to, ...request },
      () => undefined,
      run,
    );

  it('writes the tables and the mail of a domain, for this user alone', async () => {
    expect(await take({ domain: 'example.org' })).toEqual([]);
    expect(asked).toEqual([
      'mailhost export-accounts example.org',
      "mailhost export 'anna@example.org' --format maildir",
      String.raw`mailhost export 'o'\''neil@example.org' --format maildir`,
    ]);
    const files = readdirSync(to).sort();
    expect(files).toEqual([
      'anna@example.org.maildir.tar',
      'example.org.accounts',
      'example.org.aliases',
      "o'neil@example.org.maildir.tar",
    ]);
    for (const file of files) expect(statSync(join(to, file)).mode & 0o777, file).toBe(0o600);
    expect(readFileSync(join(to, files[0]!), 'utf8')).toContain('tar of');
  });

  it('writes tables that import-accounts reads back as they were', async () => {
    await take({ domain: 'example.org', mail: false });
    const old = readOldHost('dovecot', {
      accounts: join(to, 'example.org.accounts'),
      aliases: join(to, 'example.org.aliases'),
    });
    expect(old.problems).toEqual([]);
    const { plain, secret } = configChanges(
      old,
      readStack('config:\n  mailhost:domains: [{name: example.org}]\n'),
    );
    expect([...plain, ...secret]).toEqual([
      ['mailhost:accounts[0].address', 'anna@example.org'],
      ['mailhost:accounts[0].quota', '500'],
      ['mailhost:accounts[0].sendAs[0]', 'team@example.org'],
      ['mailhost:accounts[1].address', "o'neil@example.org"],
      ['mailhost:accounts[0].aliases[0]', 'info@example.org'],
      ['mailhost:aliases[0].address', 'team@example.org'],
      ['mailhost:aliases[0].recipients[0]', 'anna@example.org'],
      ['mailhost:aliases[0].recipients[1]', "o'neil@example.org"],
      ['mailhost:domains[0].catchAll', 'anna@example.org'],
      ['mailhost:accounts[0].passwordHash', hash],
      ['mailhost:accounts[1].passwordHash', hash],
    ]);
  });

  it('goes on after an account that fails, of which nothing is left', async () => {
    failing = ['anna'];
    const accounts = ['anna@example.org', 'bert@example.org'];
    expect(await take({ accounts, format: 'mbox' })).toEqual([
      'anna@example.org: mailhost: disk full',
    ]);
    expect(readdirSync(to)).toEqual(['bert@example.org.mbox.tar']);
  });

  it.each<[string, Partial<Request>, string]>([
    ['no account or domain', {}, 'name accounts'],
    [
      'what is not an address',
      { accounts: ['../anna@example.org', 'bert'] },
      '../anna@example.org, bert: not an address',
    ],
    ['what is not a domain', { domain: 'x;y' }, 'x;y is not a domain'],
    [
      'files that are there',
      { domain: 'example.org' },
      'anna@example.org.maildir.tar: there already',
    ],
  ])('refuses %s before it writes', async (_, request, problem) => {
    const before = join(to, 'anna@example.org.maildir.tar');
    writeFileSync(before, 'mine');
    await expect(take(request)).rejects.toThrow(problem);
    expect(readdirSync(to)).toEqual(['anna@example.org.maildir.tar']);
    expect(readFileSync(before, 'utf8')).toBe('mine');
  });
});
