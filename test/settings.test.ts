import { describe, expect, it } from 'vitest';
import { parseSettings, SettingsError, type Mistake } from '../components/settings';

const hash = `$6$saltsaltsaltsalt$${'a'.repeat(86)}`;
const good = {
  domains: [{ name: 'example.org' }],
  accounts: [{ address: 'anna@example.org', passwordHash: hash }],
  postmaster: 'anna@example.org',
};

function mistakesOf(input: unknown): Mistake[] {
  try {
    parseSettings(input, 'mailhost:');
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('parseSettings', () => {
  it('derives the host name and the zone', () => {
    const settings = parseSettings({
      ...good,
      domains: [{ name: 'example.org' }, { name: 'sub.example.co.uk' }],
    });
    expect(settings.hostName).toBe('mail.example.org');
    expect(settings.domains).toEqual([
      { name: 'example.org', zone: 'example.org' },
      { name: 'sub.example.co.uk', zone: 'example.co.uk' },
    ]);
    expect(settings).toMatchObject({
      dkimGeneration: 1,
      spamTagLevel: 2,
      accountKind: 'virtual',
      protect: true,
    });
  });

  it('takes numbers and truth values as stack config has them, as text', () => {
    const settings = parseSettings({
      ...good,
      dkimGeneration: '3',
      spamTagLevel: '2.5',
      protect: 'false',
    });
    expect(settings).toMatchObject({ dkimGeneration: 3, spamTagLevel: 2.5, protect: false });
  });

  it.each([
    ['a wrong domain', { ...good, domains: [{ name: 'Example' }] }, 'domains[0].name'],
    ['an unknown key', { ...good, dkimGenration: 2 }, 'dkimGenration'],
    [
      'an unknown key inside',
      { ...good, domains: [{ name: 'example.org', dkim: 1 }] },
      'domains[0].dkim',
    ],
    [
      'a missing hash',
      { ...good, accounts: [{ address: 'anna@example.org' }] },
      'accounts[0].passwordHash',
    ],
    [
      'a plain password',
      { ...good, accounts: [{ address: 'anna@example.org', passwordHash: 'hunter2' }] },
      'accounts[0].passwordHash',
    ],
    ['a non-numeric generation', { ...good, dkimGeneration: 'two' }, 'dkimGeneration'],
    [
      'one address twice',
      { ...good, accounts: [...good.accounts, ...good.accounts] },
      'accounts[1].address',
    ],
    [
      'an alias that is an account',
      { ...good, accounts: [{ ...good.accounts[0], aliases: ['anna@example.org'] }] },
      'accounts[0].aliases[0]',
    ],
    [
      'a foreign account',
      { ...good, accounts: [...good.accounts, { address: 'bob@example.net', passwordHash: hash }] },
      'accounts[1].address',
    ],
    ['a postmaster that nobody reads', { ...good, postmaster: 'root@example.org' }, 'postmaster'],
    ['no domain', { ...good, domains: [], accounts: [], postmaster: 'a@example.net' }, 'domains'],
    [
      'a foreign zone',
      { ...good, domains: [{ name: 'example.org', zone: 'example.com' }] },
      'domains[0].zone',
    ],
    ['a score below zero', { ...good, spamTagLevel: '-5' }, 'spamTagLevel'],
    [
      'an address with two dots in a row',
      { ...good, accounts: [{ address: 'a..b@example.org', passwordHash: hash }] },
      'accounts[0].address',
    ],
    ['a host name outside the domains', { ...good, hostName: 'mx.example.com' }, 'hostName'],
    ['a host name that is a domain', { ...good, hostName: 'example.org' }, 'hostName'],
    [
      'a postmaster at the host itself',
      { ...good, postmaster: 'root@mail.example.org' },
      'postmaster',
    ],
    [
      'a system user twice',
      {
        ...good,
        domains: [{ name: 'example.org' }, { name: 'example.net' }],
        accounts: [...good.accounts, { address: 'anna@example.net', passwordHash: hash }],
        accountKind: 'system',
      },
      'accounts[1].address',
    ],
    [
      'a system user that begins with a digit',
      {
        ...good,
        accounts: [...good.accounts, { address: '1st@example.org', passwordHash: hash }],
        accountKind: 'system',
      },
      'accounts[1].address',
    ],
    [
      'a line break',
      { ...good, hostName: 'mail.example.org\nmatch from any for any action "x"' },
      'hostName',
    ],
  ])('refuses %s, naming the key', (_, input, path) => {
    expect(mistakesOf(input).map((m) => m.path)).toContain(path);
  });

  it('says how to make a hash where there is a password, without showing it', () => {
    const [mistake] = mistakesOf({
      ...good,
      accounts: [{ address: 'anna@example.org', passwordHash: 'hunter2' }],
    });
    expect(mistake!.message).toContain('openssl passwd -6');
    expect(mistake!.message).not.toContain('hunter2');
  });

  it('tells every mistake at once and shows no secret', () => {
    const mistakes = mistakesOf({
      domains: [{ name: 'example.org' }],
      accounts: [
        { address: 'anna@example.org', passwordHash: 'hunter2' },
        { address: 'anna@example.org', passwordHash: hash },
        { address: 'bob@example.net', passwordHash: hash },
      ],
      postmaster: 'nobody@example.org',
      dkimGeneration: 'two',
      colour: 'blue',
    });
    expect(mistakes.map((m) => m.path).sort()).toEqual([
      'accounts[0].passwordHash',
      'accounts[1].address',
      'accounts[2].address',
      'colour',
      'dkimGeneration',
      'postmaster',
    ]);
    expect(JSON.stringify(mistakes)).not.toContain('hunter2');
  });
});
