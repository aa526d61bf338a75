import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { htmlReview } from '../../cli/review/html';
import { markdownReview } from '../../cli/review/markdown';
import { parsePlan } from '../../cli/review/plan';
import type { Review } from '../../components/review/model';
import { reviewOf } from '../../components/review/review';
import { textReview } from '../../components/review/text';
import type { MailHostArgs } from '../../components/mailHostArgs';
import { secretSettings } from '../../components/settings/fields';
import { example, sshKey } from '../example';
import { SecretSearch } from '../lab/secretSearch';
import { planned, previewOf, reportIn, stringsIn } from './wholePlan';

const asText = (review: Review) =>
  textReview(review, { isColoured: false, context: 0, isSummary: false });

const hashOf = (letter: string) => `$6$saltsaltsaltsalt$${letter.repeat(86)}`;

describe('a secret setting', () => {
  const folder = mkdtempSync(join(tmpdir(), 'review-secrets-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A certificate for the host, with its key. */
  function issued(name: string) {
    const file = (end: string) => join(folder, `${name}.${end}`);
    execFileSync(
      'openssl',
      // prettier-ignore
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '90', '-subj', `/CN=${name}`,
        '-addext', 'subjectAltName=DNS:mail.example.org', '-keyout', file('key'), '-out', file('pem')],
      { stdio: 'ignore' },
    );
    const [chain, privateKey] = ['pem', 'key'].map((end) => readFileSync(file(end), 'utf8'));
    return { chain: chain!, privateKey: privateKey! };
  }
  const pairs = [issued('one'), issued('two')];
  const backup = (password: string, access: string) => ({
    backup: {
      repository: 'rest:https://backup.example/',
      password,
      environment: { RESTIC_REST_PASSWORD: access },
    },
  });
  const openSsh = (end: string) =>
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(`openssh-key-v1\0\0\0\0\x04none ${end}`, 'latin1').toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;

  /** Of each secret setting two values, and settings that have one. */
  const secrets: Record<string, [string, string, (value: string) => Partial<MailHostArgs>]> = {
    'accounts.passwordHash': [
      hashOf('c'),
      hashOf('d'),
      (passwordHash) => ({
        accounts: [{ ...example.accounts![0]!, passwordHash }, example.accounts![1]!],
      }),
    ],
    'smarthost.password': [
      `it's"the-first"/\\$&`,
      'the-second-password',
      (password) => ({
        smarthost: { host: 'smtp.remote.example', username: 'mailhost', password },
        domains: example.domains.map((domain) => ({ ...domain, spf: ['ip4:192.0.2.1'] })),
      }),
    ],
    'backup.password': ['first-password', 'second-password', (text) => backup(text, 'access')],
    'backup.environment': ['first-access', 'second-access', (text) => backup('password', text)],
    'tls.privateKey': [
      pairs[0]!.privateKey,
      pairs[1]!.privateKey,
      (privateKey) => {
        const { chain } = pairs.find((pair) => pair.privateKey === privateKey)!;
        return { tls: { issuer: 'provided', chain, privateKey } };
      },
    ],
    'machine.sshPrivateKey': [
      openSsh('and the first key of a machine'),
      openSsh('and the second key of a machine'),
      (sshPrivateKey) => ({
        machine: { ipv4: '192.0.2.7', ipv6: '2001:db8::7', sshHostKey: sshKey, sshPrivateKey },
      }),
    ],
  };

  /** What a report names of each; of the key by which the host is reached, that changes nothing on the host, nothing. */
  const reported: Record<string, string> = {
    'accounts.passwordHash': 'password of anna@example.org',
    'smarthost.password': '/etc/smtpd/smarthost',
    'backup.password': '/etc/mailhost/restic.password',
    'backup.environment': '/etc/mailhost/restic-secrets.env',
    'tls.privateKey': '/etc/ssl/mailhost/privkey.pem',
  };

  it('of each kind is in this test', () => {
    expect(Object.keys(secrets).sort()).toEqual([...secretSettings].sort());
  });

  it.each(Object.entries(secrets))(
    'is in no form of a review, nor in the report of a preview, new, changed or removed: %s',
    async (setting, [one, two, settings]) => {
      const named = reported[setting];
      const search = new SecretSearch({ one, two });
      const plans = [await planned({}), await planned(settings(one)), await planned(settings(two))];
      for (const [from, to] of [
        [0, 1],
        [1, 2],
        [2, 0],
      ] as const) {
        const review = reviewOf(parsePlan(previewOf(plans[from]!, plans[to]!)));
        const report = reportIn(plans[from]!, plans[to]!);
        const forms = [asText(review), markdownReview(review), htmlReview(review), report];
        expect(forms.map((text) => search.in(text))).toEqual([[], [], [], []]);
        if (named !== undefined) expect(report).toContain(` secret: ${named}`);
      }
      // The plan carries it, and the search finds it where nothing hides it.
      expect(search.in(stringsIn(plans[1]!).join('\n'))).toEqual(['one']);
    },
  );
});
