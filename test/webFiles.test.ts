import { describe, expect, it } from 'vitest';
import type { HostFiles } from '../components/hostFiles/files';
import { web } from '../components/daemons/web';
import { exampleMail, filesOf } from './example';

const root = '/usr/local/share/mailhost/web';
const text = (files: HostFiles, path: string) => files[path]!.text;
/** The texts of all elements of a name. */
const elements = (xml: string, name: string) =>
  [...xml.matchAll(new RegExp(`<${name}>(.*)</${name}>`, 'g'))].map(([, content]) => content);

describe('the web side', () => {
  it.each([
    ['virtual', '%EMAILADDRESS%', '$1'],
    ['system', '%EMAILLOCALPART%', '$2'],
  ] as const)('tells mail clients how to log in: %s accounts', (accountKind, user, captured) => {
    const files = filesOf(web, exampleMail({ accountKind }));
    const autoconfig = text(files, `${root}/mail/config-v1.1.xml`);
    expect(elements(autoconfig, 'username')).toEqual([user, user, user]);
    expect(new Set(elements(autoconfig, 'hostname'))).toEqual(new Set(['mail.example.org']));
    expect(elements(autoconfig, 'port')).toEqual(['993', '465', '587']);
    expect(elements(autoconfig, 'socketType')).toEqual(['SSL', 'SSL', 'STARTTLS']);

    const autodiscover = text(files, `${root}/autodiscover/autodiscover.xml`);
    expect(elements(autodiscover, 'LoginName')).toEqual([user, user]);
    expect(elements(autodiscover, 'Port')).toEqual(['993', '465']);
    expect(elements(autodiscover, 'SSL')).toEqual(['on', 'on']);

    expect(text(files, '/etc/nginx/pages.conf')).toContain(`sub_filter ${user} $user_name;`);
    const nginx = text(files, '/etc/nginx/nginx.conf');
    expect(nginx).toMatch(new RegExp(`EMailAddress>" \\${captured};`));
  });

  it('says the same whatever the domains and accounts', () => {
    const change = { domains: [{ name: 'example.org' }], accounts: [] };
    expect(
      filesOf(web, exampleMail({ ...change, postmaster: 'someone@elsewhere.example' })),
    ).toEqual(filesOf(web, exampleMail()));
  });

  it('has a site with a certificate of its own for each domain, where a CA issues them', () => {
    const sites = (issuer: 'acme' | 'selfSigned') =>
      filesOf(web, exampleMail({ tls: { issuer, acceptTerms: true } }));
    const paths = (files: HostFiles) =>
      Object.keys(files).filter((path) => path.startsWith('/etc/nginx/sites/'));
    expect(paths(sites('selfSigned'))).toEqual([]);
    expect(paths(sites('acme'))).toEqual([
      '/etc/nginx/sites/example.net.conf',
      '/etc/nginx/sites/example.org.conf',
    ]);
    const site = text(sites('acme'), '/etc/nginx/sites/example.net.conf');
    expect(site).toContain(
      'server_name autoconfig.example.net autodiscover.example.net mta-sts.example.net;',
    );
    expect(site).toContain('/etc/ssl/mailhost/example.net/fullchain.pem');
  });

  it('serves on ports 80 and 443 of both families, and answers itself on loopback', () => {
    const nginx = text(filesOf(web, exampleMail()), '/etc/nginx/nginx.conf');
    expect(nginx.match(/(?<=listen )\S+/g)).toEqual([
      '80',
      '[::]:80',
      '443',
      '[::]:443',
      '127.0.0.1:10080;',
    ]);
  });

  it('promises nothing of TLS to other mail systems before a domain announces it', () => {
    const policy = text(filesOf(web, exampleMail()), `${root}/.well-known/mta-sts.txt`);
    expect(policy).toContain('mode: none\r\n');
    const mail = { ...exampleMail(), mtaSts: 'enforce' } as const;
    expect(text(filesOf(web, mail), `${root}/.well-known/mta-sts.txt`)).toContain(
      'mode: enforce\r\n',
    );
  });
});
