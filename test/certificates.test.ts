import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { certificateNames, tls } from '../components/daemons/tls';
import { isCertificateChain, isPrivateKey, pairMistake } from '../components/settings/certificates';
import { SettingsError } from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import { example, exampleMail, filesOf, secretFilesOf } from './example';

/** The roots that everybody trusts. */
const publicRoots = vi.hoisted(() => [] as string[]);
vi.mock('node:tls', async (original) => ({
  ...(await original<object>()),
  rootCertificates: publicRoots,
}));
afterEach(() => publicRoots.splice(0));

const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(file(name), 'utf8');

/** A certificate for a name, with its key beside it. */
function issue(name: string, subject: string, by?: string, ...extensions: string[]): string {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`), '-days', '30'],
      ...['-subj', `/CN=${subject}`, ...extensions.flatMap((text) => ['-addext', text])],
      ...(by ? ['-CA', file(`${by}.pem`), '-CAkey', file(`${by}.key`)] : []),
    ],
    { stdio: 'ignore' },
  );
  return read(`${name}.pem`);
}

const root = issue('root', 'Root/O=Example');
const between = issue('between', 'Between', 'root', 'basicConstraints=critical,CA:TRUE');
const leaf = issue('leaf', 'x', 'between', 'subjectAltName=DNS:mail.example.org');
const key = read('leaf.key');
const hostName = 'mail.example.org';
const day = 86_400_000;

const mistakes = (of: object, change: object = {}) => {
  try {
    parseSettings({ ...example, ...change, tls: of });
  } catch (error) {
    return (error as SettingsError).mistakes;
  }
  return [];
};

describe('a certificate that somebody else issued', () => {
  it('is right with all of its issuers behind it, up to a root', () => {
    expect(pairMistake(leaf + between + root, key, hostName)).toBeUndefined();
  });

  it('needs no root behind it that everybody knows', () => {
    publicRoots.push(issue('other', 'Other'), root);
    expect(pairMistake(leaf + between, key, hostName)).toBeUndefined();
    expect(pairMistake(leaf, key, hostName)).toContain('is not a public root');
  });

  it.each([
    ['with another key', leaf + between + root, read('root.key'), hostName, 'does not belong'],
    [
      'for another name',
      leaf + between + root,
      key,
      'other.example.org',
      'is for DNS:mail.example.org, not for other.example.org;',
    ],
    ['for no name', root, read('root.key'), hostName, 'is for no name, not for mail.example.org;'],
    ['where there is none', '', key, hostName, 'has no certificate'],
    ['out of order', leaf + root + between, key, hostName, 'number 2 did not issue number 1'],
    ['without one on the way', leaf + root, key, hostName, 'number 2 did not issue number 1'],
    ['alone', leaf, key, hostName, 'whose issuer CN=Between is not a public root'],
    [
      'up to no root',
      leaf + between,
      key,
      hostName,
      'whose issuer CN=Root, O=Example is not a public root',
    ],
  ])('is wrong %s', (_, chain, privateKey, name, words) => {
    expect(pairMistake(chain, privateKey, name)).toContain(words);
  });

  it('is wrong behind an issuer that only has the name of its own', () => {
    const ca = ['basicConstraints=critical,CA:TRUE', 'subjectKeyIdentifier=01020304'];
    const [one, twin] = ['one', 'twin'].map((name) => issue(name, 'Twin', 'root', ...ca));
    const issued = issue('issued', 'x', 'one', 'subjectAltName=DNS:mail.example.org');
    const judge = (issuer: string) =>
      pairMistake(issued + issuer + root, read('issued.key'), hostName);
    expect(judge(one!)).toBeUndefined();
    expect(judge(twin!)).toContain('number 2 did not issue number 1');
  });

  it('is right from its first second to its last', () => {
    const at = (time: Date) => pairMistake(root, read('root.key'), 'root', time);
    const { validFromDate, validToDate } = new X509Certificate(root);
    for (const time of [validFromDate, validToDate]) expect(at(time)).toBeUndefined();
    expect(at(new Date(validFromDate.getTime() - 1))).toMatch(/^is valid only from/);
    expect(at(new Date(validToDate.getTime() + 1))).toMatch(/^expired on/);
  });

  it('is wrong before its time and after', () => {
    const at = (days: number) =>
      pairMistake(leaf + between + root, key, hostName, new Date(Date.now() + days * day));
    expect(at(-1)).toMatch(/^is valid only from/);
    expect(at(31)).toMatch(/^expired on/);
  });

  it('is told from other text', () => {
    expect(isCertificateChain(leaf + between)).toBe(true);
    expect(isCertificateChain('')).toBe(false);
    expect(isCertificateChain(leaf + key)).toBe(false);
    expect(isCertificateChain(leaf.replace('M', '!'))).toBe(false);
    expect(isPrivateKey(key)).toBe(true);
    expect(isPrivateKey(leaf)).toBe(false);
  });

  it('is judged with the settings, and never shown', () => {
    const provided = { issuer: 'provided', chain: leaf + between + root, privateKey: key };
    expect(mistakes(provided)).toEqual([]);
    expect(mistakes({ ...provided, chain: leaf })).toMatchObject([{ path: ['tls', 'chain'] }]);
    expect(mistakes({ issuer: 'provided' })).toMatchObject([
      { path: ['tls', 'chain'], problem: expect.stringMatching(/^is missing/) as string },
      { path: ['tls', 'privateKey'] },
    ]);
    const wrong = mistakes({ ...provided, privateKey: key.replace('PRIVATE', 'PUBLIC') });
    expect(wrong).toMatchObject([{ path: ['tls', 'privateKey'] }]);
    expect(JSON.stringify(wrong)).not.toContain(key.split('\n')[1]);
    expect(mistakes({ ...provided, issuer: 'selfSigned' })).toMatchObject([
      { path: ['tls', 'chain'] },
      { path: ['tls', 'privateKey'] },
    ]);
  });
});

it('a policy of MTA-STS that is enforced needs a certificate for each name that it is asked for at', () => {
  const names = ['mail.example.org', 'mta-sts.example.org', 'mta-sts.example.net'];
  const covering = (...covered: string[]) => {
    const san = `subjectAltName=${covered.map((name) => `DNS:${name}`).join()}`;
    const chain = issue('web', 'x', 'between', san) + between + root;
    const provided = { issuer: 'provided', chain, privateKey: read('web.key') };
    return mistakes(provided, { mtaSts: 'enforce' });
  };
  expect(covering(...names)).toEqual([]);
  expect(covering(...names.slice(0, 2))).toMatchObject([
    {
      path: ['mtaSts'],
      problem: expect.stringContaining('not for mta-sts.example.net;') as string,
    },
  ]);
});

describe('certificates of a public CA', () => {
  it('are asked for only where its terms are accepted', () => {
    const rest = { ...example, tls: undefined };
    expect(() => parseSettings(rest)).toThrow(
      'tls.acceptTerms must be true for tls.issuer acme; read the terms of the CA, https://letsencrypt.org/repository/, and accept them, or set tls.issuer: set tls.acceptTerms to true',
    );
    const directory = 'https://ca.example/directory';
    expect(() => parseSettings({ ...rest, tls: { directory } })).toThrow(
      `which ${directory} names`,
    );
    expect(parseSettings({ ...rest, tls: { acceptTerms: 'true' } }).tls.issuer).toBe('acme');
    expect(() =>
      parseSettings({ ...rest, tls: { acceptTerms: true, directory: 'http://ca.example/' } }),
    ).toThrow('tls.directory');
  });

  const acme = (change = {}) => exampleMail({ tls: { acceptTerms: true }, ...change });

  it('are one for the host, and one for the names of each domain with mail', () => {
    const domains = [{ name: 'example.org' }, { name: 'example.net', parked: true }];
    const accounts = example.accounts!.slice(0, 1).map((a) => ({ ...a, aliases: [] }));
    expect(certificateNames(acme({ domains, accounts }))).toEqual([
      { name: hostName, dnsNames: [hostName] },
      {
        name: 'example.org',
        dnsNames: ['autoconfig.example.org', 'autodiscover.example.org', 'mta-sts.example.org'],
      },
    ]);
    expect(certificateNames(acme({ web: false }))).toHaveLength(1);
  });

  it('have keys that only root reads, at the paths that the request names', () => {
    const files = filesOf(tls, acme());
    const { contact, certificates } = JSON.parse(
      files['/etc/mailhost/certificates.json']!.text,
    ) as {
      contact: string;
      certificates: Record<string, { request: string; privateKey: string }>;
    };
    expect(contact).toBe('anna@example.org');
    const requests = { [hostName]: 'r', 'example.net': 'r', 'example.org': 'r' };
    const pair = { chainPem: 'c', privateKeyPem: 'k' };
    const secrets = secretFilesOf(
      tls,
      { certificate: { pair, acme: { webKeyPem: 'w', requests } }, tlsKeyHashes: ['aa'] },
      acme(),
    );
    for (const { request, privateKey } of Object.values(certificates)) {
      expect(secrets[request]).toMatchObject({ text: 'r', owner: 'root:root' });
      expect(secrets[privateKey]).toMatchObject({ mode: '0600', owner: 'root:root' });
    }
    expect(filesOf(tls, exampleMail())).not.toHaveProperty('/etc/mailhost/certificates.json');
    const served = secretFilesOf(tls, { certificate: { pair }, tlsKeyHashes: ['aa', 'bb'] });
    const modes = Object.entries(served).map(([path, { mode, owner }]) => [
      path.replace(/^.*\//, ''),
      mode,
      owner,
    ]);
    expect(modes.sort()).toEqual([
      ['fullchain.pem', '0644', 'root:root'],
      ['privkey.pem', '0600', 'root:root'],
      ['tlsa', '0644', 'root:root'],
    ]);
    expect(served['/etc/mailhost/tlsa']!.text).toBe(
      '_25._tcp.mail.example.org\n3 1 1 aa\n3 1 1 bb\n',
    );
  });

  it('are looked at by a timer, at a moment of each host’s own', () => {
    const timer = filesOf(tls, acme())['/etc/systemd/system/mailhost-renew.timer']!.text;
    expect(timer).toMatch(/^OnCalendar=/m);
    expect(timer).toMatch(/^RandomizedDelaySec=[1-9]/m);
  });
});
