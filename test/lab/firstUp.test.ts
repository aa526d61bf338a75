import { describe, expect } from 'vitest';
import { manyDomains } from '../../bench/manyDomains/preview';
import { onHost } from '../../lab/machines';
import { proofs } from '../../lab/proof';
import type { Lab } from '../../lab/state';
import { hostTest } from './hosts';
import { changes, step, TestStack, zoneOf } from './testLab';

const it = hostTest();

/** Records that a person has made: an MX record and a text that stay, and a policy that collides. */
async function createRecords(lab: Lab) {
  const zone = await zoneOf(lab, 'example.org');
  const record = { ttl: 300, name: 'example.org' };
  await zone.create({ ...record, type: 'MX', content: 'mail.example.org', priority: 20 });
  await zone.create({ ...record, type: 'TXT', content: '"site-verification=1"' });
  return zone.create({ ...record, type: 'TXT', content: '"v=spf1 a:x.example -all"' });
}

/** Secrets that the host has, in lines as its files have them. */
function secretsOf(lab: Lab): string[] {
  // A key file begins with what its public part tells too; the lines taken here are private.
  const secrets = onHost(
    lab,
    `cut -d' ' -f2 /etc/smtpd/credentials
     for key in /etc/amavis/dkim/*.pem; do sed -n '10,24p' $key; done
     sed -n 2p /etc/ssl/mailhost/privkey.pem`,
  )
    .trim()
    .split('\n');
  expect(secrets.length).toBe(2 + 2 * 15 + 1);
  return secrets;
}

describe('a mail host', () => {
  it('refuses bad input before anything is touched, all mistakes at once', async ({
    freshLab: { lab },
  }) => {
    const stack = new TestStack(lab);
    await stack.setAll({
      'domains[2].name': 'not_a_domain',
      'accounts[1].address': 'anna@example.org',
      dkimGeneration: 'two',
      colour: 'red',
    });
    await stack.unset('mailhost:accounts[0].passwordHash');
    const { status, output } = await stack.run(['preview']);
    expect(status).not.toBe(0);
    expect(output.replace(/\s+/g, ' ')).toContain('5 settings are invalid; nothing was changed');
    for (const key of [
      'mailhost:domains[2].name: "not_a_domain" is not a valid domain name',
      'mailhost:accounts[1].address: "anna@example.org" is also accounts[0].address',
      'mailhost:accounts[0].passwordHash is missing; set',
      'mailhost:dkimGeneration: "two" is not a whole number',
      'mailhost:colour is not a setting',
    ]) {
      expect(output).toContain(key);
    }
    expect(output).not.toMatch(/at .*\.ts:\d+/);
    expect(changes(output)).not.toHaveProperty('created');
  });

  it('previews 200 domains with 2,000 accounts', async ({ freshLab: { lab } }) => {
    const { resources, output } = await manyDomains(lab, 200);
    // A component, twelve records, a component for the keys and two of these, for each; 46 for the host.
    expect(resources, output).toBeGreaterThan(200 * 16);
  });

  it('is stopped by records that collide', async ({ freshLab: { lab, stack } }) => {
    await createRecords(lab);
    const { status, output } = await stack.run(['preview']);
    expect(status).not.toBe(0);
    expect(output).toContain('example.org already has TXT "v=spf1 a:x.example -all"');
    expect(output).not.toContain('already has MX');
    expect(output).not.toContain('site-verification');
    expect(output).not.toMatch(/at .*\.ts:\d+/);
    // The stack itself, and nothing in it.
    expect(output).toMatch(/\+ 1 to create\s+1 errored/);
  });

  it('stands up from nothing, also after a first try that was killed half-way', async ({
    freshLab: { lab },
  }) => {
    const stack = new TestStack(lab);
    const planned = await step('it takes over what is there already', async () => {
      await (await zoneOf(lab, 'example.org')).delete(await createRecords(lab));
      const { status, output } = await stack.run(['preview', '--diff']);
      expect(status, output).toBe(0);
      expect(output).toMatch(/= cloudflare:index\/dnsRecord:DnsRecord: \(import\)/);
      const summary = output.slice(output.lastIndexOf('Resources:'));
      const counts = [...summary.matchAll(/(\d+) to (?:create|import)/g)].map(([, n]) => Number(n));
      expect(counts.length, summary).toBe(2);
      return counts[0]! + counts[1]!;
    });

    await step('a first try is killed half-way', async () => {
      let killed = false;
      await stack.up((text, kill) => {
        if (!killed && text.includes('dovecot-secrets created')) {
          killed = true;
          kill();
        }
      });
      expect(killed).toBe(true);
      await stack.run(['cancel', '--yes']);
    });

    const printed = await step('it stands up, with nothing that was not planned', async () => {
      const { status, output } = await stack.up();
      expect(status, output).toBe(0);
      expect(stack.outputs().nextSteps).toContain('IMAP: mail.example.org, port 993, TLS');
      const made = stack.resources().filter(({ type }) => !type.startsWith('pulumi:providers:'));
      expect(made.length).toBe(planned);
      return output;
    });

    await step('it keeps secrets out of what it prints', () => {
      expect(secretsOf(lab).filter((secret) => printed.includes(secret))).toEqual([]);
    });

    for (const { title, run } of proofs(lab, stack.outputs()))
      await step(`it works, seen from outside: ${title}`, run);
  });

  it('keeps secrets out of state, logs and what others may read on the host', ({ host }) => {
    const secrets = secretsOf(host.lab);
    const journal = host.shell('journalctl --no-pager --output cat');
    expect(journal).toMatch(/mailhost/);
    for (const [place, text] of Object.entries({ state: host.stack.state(), journal })) {
      expect(
        secrets.filter((secret) => text.includes(secret)),
        place,
      ).toEqual([]);
    }
    const readable = host.shell(
      `cut -d' ' -f2 /etc/smtpd/credentials >/run/patterns; chmod 600 /run/patterns
       find / -xdev -type f -perm -o=r -size -1M -not -path '/proc/*' -not -path '/sys/*' -print0 |
         xargs -0 grep --files-with-matches --fixed-strings --file /run/patterns || true; rm /run/patterns`,
    );
    expect(readable).toBe('');
    expect(host.outputs).toMatchObject({ sshPrivateKey: '[secret]' });
  });
});
