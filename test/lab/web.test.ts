import { request as requestPlain, type IncomingHttpHeaders } from 'node:http';
import { request as requestSecured, type RequestOptions } from 'node:https';
import { describe, expect } from 'vitest';
import { hostTest, type Host } from './hosts';

const hostName = 'mail.example.org';
const it = hostTest();

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** SHA-256 of the certificate, where the answer came by TLS. */
  certificate?: string;
}

/** What the host answers to somebody outside who takes it for the one named in the URL. */
function ask(
  { outputs }: Host,
  url: string,
  family: 'ipv4' | 'ipv6' = 'ipv4',
  options: RequestOptions = {},
  body?: string,
) {
  const { protocol, hostname, pathname, search } = new URL(url);
  const secured = protocol === 'https:';
  return new Promise<Answer>((resolve, reject) => {
    const asked = (secured ? requestSecured : requestPlain)(
      {
        host: outputs[family],
        servername: hostname,
        path: pathname + search,
        headers: { host: hostname },
        agent: false,
        // The certificate is for the host's own name.
        ...(hostname === hostName ? { ca: outputs.caCertPem } : { rejectUnauthorized: false }),
        ...options,
      },
      (response) => {
        const { statusCode, headers, socket } = response;
        const certificate = secured
          ? (socket as import('node:tls').TLSSocket).getPeerCertificate().fingerprint256
          : undefined;
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve({ status: statusCode!, headers, text, certificate }));
      },
    );
    asked.on('error', reject).end(body);
  });
}

const element = (xml: string, of: string) =>
  [...xml.matchAll(new RegExp(`<${of}>(.*)</${of}>`, 'g'))].map(([, content]) => content);

describe.each(['ipv4', 'ipv6'] as const)('the web side, by %s', (family) => {
  const answer = (host: Host, url: string, options?: RequestOptions, body?: string) =>
    ask(host, url, family, options, body);

  it.for([
    'https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=anna%40example.org',
    'https://autoconfig.example.net/mail/config-v1.1.xml',
    `https://${hostName}/.well-known/autoconfig/mail/config-v1.1.xml`,
  ])('tells Thunderbird the settings: %s', async (url, { host }) => {
    const { status, headers, text } = await answer(host, url);
    expect([status, headers['content-type']]).toEqual([200, 'text/xml']);
    expect(element(text, 'hostname')).toEqual([hostName, hostName, hostName]);
    expect(element(text, 'username')[0]).toBe('%EMAILADDRESS%');
  });

  it.for([
    'https://autodiscover.example.net/autodiscover/autodiscover.xml',
    `https://${hostName}/Autodiscover/Autodiscover.xml`,
  ])('tells Outlook the settings, with the address as the user name: %s', async (url, { host }) => {
    const asked = (address: string) =>
      answer(
        host,
        url,
        { method: 'POST', headers: { 'content-type': 'text/xml' } },
        `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>${address}</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>`,
      );
    const { status, headers, text } = await asked('bert+news@example.net');
    expect([status, headers['content-type']]).toEqual([200, 'text/xml']);
    expect(element(text, 'Server')).toEqual([hostName, hostName]);
    expect(element(text, 'LoginName')).toEqual(['bert+news@example.net', 'bert+news@example.net']);
    // What is no address is not given back.
    const wrong = await asked('a@b</LoginName>&x;');
    expect([element(wrong.text, 'LoginName'), element(wrong.text, 'ErrorCode')]).toEqual([
      [],
      ['600'],
    ]);
    expect((await asked('x'.repeat(10_000))).status).toBe(413);
  });

  it('tells other mail systems the policy for TLS', async ({ host }) => {
    const { status, headers, text } = await answer(
      host,
      'https://mta-sts.example.net/.well-known/mta-sts.txt',
    );
    expect([status, headers['content-type']]).toEqual([200, 'text/plain']);
    expect(text.split('\r\n')).toContain('mode: none');
  });

  it('leads every name to the one in the certificate', async ({ host }) => {
    for (const path of ['/mail/config-v1.1.xml?emailaddress=x', '/autodiscover/autodiscover.xml']) {
      const { status, headers } = await answer(host, `http://autoconfig.example.net${path}`);
      expect([status, headers.location]).toEqual([302, `https://${hostName}${path}`]);
      expect((await answer(host, headers.location!)).status).toBe(200);
    }
  });

  it('answers the challenges of a certificate authority without TLS', async ({ host }) => {
    const folder = '/var/www/html/.well-known/acme-challenge';
    host.shell(`mkdir -p ${folder}; printf key >${folder}/token`);
    const challenge = 'http://mta-sts.example.org/.well-known/acme-challenge';
    expect(await answer(host, `${challenge}/token`)).toMatchObject({ status: 200, text: 'key' });
    expect((await answer(host, `${challenge}/other`)).status).toBe(404);
  });

  it('has nothing else, and does not tell its version', async ({ host }) => {
    for (const path of ['/', '/mail/', '/index.html', '/.well-known/acme-challenge/token']) {
      const { status, headers, text } = await answer(host, `https://${hostName}${path}`);
      expect([path, status, headers.server]).toEqual([path, 404, 'nginx']);
      expect(text).not.toMatch(/nginx\/|Debian/);
    }
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;
    await expect(answer(host, `https://${hostName}/`, old)).rejects.toThrow(
      'alert protocol version',
    );
  });
});

describe('nginx', () => {
  const main = (host: Host) => host.shell('systemctl show --value --property MainPID nginx');

  it('sends well-formed XML', ({ host }) => {
    const parse = `import pathlib, xml.dom.minidom
for path in pathlib.Path("/usr/local/share/mailhost/web").rglob("*.xml"): print(xml.dom.minidom.parse(str(path)).documentElement.tagName)`;
    expect(host.shell(`python3 -c '${parse}'`).trim().split('\n').sort()).toEqual([
      'Autodiscover',
      'Autodiscover',
      'clientConfig',
    ]);
  });

  it('serves a new certificate at once, and goes on running', async ({ freshHost: host }) => {
    const before = main(host);
    const url = `https://${hostName}/mail/config-v1.1.xml`;
    const { certificate } = await ask(host, url);
    const path = 'mailhost:index:MailHost$mailhost:index:Certificate$tls:index/locallySignedCert';
    await host.up(
      {},
      '--replace',
      `urn:pulumi:dev::mailhost::${path}:LocallySignedCert::mail-certificate`,
    );
    const after = await ask(host, url);
    expect(after).toMatchObject({ status: 200 });
    expect(after.certificate).not.toBe(certificate);
    expect(main(host)).toBe(before);
  });

  it('goes on with its old files where it cannot take the new ones', ({ freshHost: host }) => {
    const before = host.shell('sha256sum /etc/nginx/nginx.conf') + main(host);
    const push = `import json
files = {p: {"mode": f["mode"], "owner": f["owner"], "text": open(p, newline="").read()} for p, f in json.load(open("/var/lib/mailhost/manifest/web.json")).items()}
text = files["/etc/nginx/nginx.conf"]["text"]
files["/etc/nginx/nginx.conf"]["text"] = text.replace("listen 80 ", "listen 25 ")
print(json.dumps(files))`;
    const output = host.shell(`python3 -c '${push}' | mailhost activate web 2>&1 || true`);
    expect(output).toContain('the files from before are back, and so is the daemon');
    expect(output).toContain('0.0.0.0:25 failed');
    expect(host.shell('sha256sum /etc/nginx/nginx.conf') + main(host)).toBe(before);
  });

  it('comes back after it was killed', async ({ host }) => {
    host.shell(
      `main() { systemctl show --value --property MainPID nginx; }
       killed=$(main); kill -KILL $killed
       until test $(main) != $killed && systemctl is-active --quiet nginx; do :; done`,
    );
    expect((await ask(host, `https://${hostName}/mail/config-v1.1.xml`)).status).toBe(200);
  });

  it('is asked by the check', ({ host }) => {
    const file = '/usr/local/share/mailhost/web/.well-known/mta-sts.txt';
    const output = host.shell(
      `mv ${file} /run; echo '{"hostName": "${hostName}", "domains": []}' | mailhost check 2>&1 || true; mv /run/mta-sts.txt ${file}`,
    );
    expect(output).toContain(`https://${hostName}/.well-known/mta-sts.txt answers 404`);
  });

  it('serves the certificate that is in its file, or the check tells it', ({ host }) => {
    const output = host.shell(
      `cd /run; openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=${hostName} 2>/dev/null
       mount --bind other.pem /etc/ssl/mailhost/fullchain.pem
       echo '{"hostName": "${hostName}", "domains": []}' | mailhost check 2>&1 || true; umount /etc/ssl/mailhost/fullchain.pem`,
    );
    for (const port of [25, 443, 993])
      expect(output).toContain(`port ${port} serves another certificate`);
  });

  it('is gone, with its files and its ports, where the settings leave it out', async ({
    freshHost: host,
  }) => {
    const openPorts = async () => {
      const response = await fetch(`${host.stack.env.HCLOUD_ENDPOINT}/firewalls`, {
        headers: { authorization: `Bearer ${host.stack.env.HCLOUD_TOKEN}` },
      });
      const { firewalls } = (await response.json()) as {
        firewalls: { rules: { port?: string }[] }[];
      };
      return firewalls[0]!.rules.map(({ port }) => port);
    };
    expect(await openPorts()).toEqual(expect.arrayContaining(['80', '443']));

    await host.up({ web: 'false' });
    expect(await openPorts()).not.toEqual(expect.arrayContaining(['80']));
    expect(await openPorts()).not.toEqual(expect.arrayContaining(['443']));
    const state = 'systemctl is-active nginx; systemctl is-enabled nginx; pgrep --count nginx';
    expect(host.shell(`{ ${state}; } || true`)).toBe('inactive\ndisabled\n0\n');
    expect(
      host.shell('find /etc /usr/local /var/lib/mailhost -path "*nginx.conf" -o -name "web.json"'),
    ).toBe('');

    await host.up({ web: 'true' });
    expect((await ask(host, `https://${hostName}/mail/config-v1.1.xml`, 'ipv6')).status).toBe(200);
  });
});

describe('autodiscovery', () => {
  const outlook = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';
  const mobile =
    'http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006';
  const request = (address: string, schema?: string, prefix = '') => {
    const tag = (name: string, text: string) => `<${prefix}${name}>${text}</${prefix}${name}>`;
    return `<?xml version="1.0"?>
<${prefix}Autodiscover xmlns${prefix && `:${prefix.slice(0, -1)}`}="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><${prefix}Request>${
      schema === undefined ? '' : tag('AcceptableResponseSchema', schema)
    }${tag('EMailAddress', address)}</${prefix}Request></${prefix}Autodiscover>`;
  };
  const post = (host: Host, body: string) =>
    ask(
      host,
      'https://autodiscover.example.org/autodiscover/autodiscover.xml',
      'ipv4',
      { method: 'POST', headers: { host: 'autodiscover.example.org', 'content-type': 'text/xml' } },
      body,
    );

  it.for([
    ['info@example.org', request('info@example.org', outlook)],
    ['info@example.org', request('info@example.org')],
    ['ANNA+x@Example.org', request('ANNA+x@Example.org', `\n  ${outlook}\n`)],
    ["o'neill@example.org", request("o'neill@example.org", outlook)],
    ['r&amp;d@example.org', request('r&amp;d@example.org', outlook)],
    ['r&#38;d@example.org', request('r&#38;d@example.org', outlook)],
    ['anna@bücher.example', request('\n anna@bücher.example ', outlook, 'a:')],
  ])('gives Outlook the settings of %s', async ([address, body], { host }) => {
    const { status, headers, text } = await post(host, body!);
    expect([status, headers['content-type']]).toEqual([200, 'text/xml']);
    expect(element(text, 'LoginName')).toEqual([address, address]);
    expect(element(text, 'ErrorCode')).toEqual([]);
  });

  it.for([
    ['another schema', '601', request('info@example.org', mobile)],
    ['another schema of a longer name', '601', request('info@example.org', `${outlook}b`)],
    ['no address', '600', request('', outlook)],
    ['what is no address', '600', request('info', outlook)],
    ['markup for an address', '600', request('a@b<x/>', outlook)],
    ['an entity for an address', '600', request('a&x;b@example.org', outlook)],
    ['a quotation mark for an address', '600', request('a"b@example.org', outlook)],
    ['no XML', '600', 'x=y'],
    ['nothing', '600', ''],
  ])('answers %s with the error %s', async ([, code, body], { host }) => {
    const { status, headers, text } = await post(host, body!);
    expect([status, headers['content-type']]).toEqual([200, 'text/xml']);
    expect(element(text, 'ErrorCode')).toEqual([code]);
    expect(text).toMatch(/<Error Time="\d\d:\d\d:\d\d\.\d{7}" Id="\d+">/);
    expect(text).toContain(
      '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">',
    );
    expect(text).not.toMatch(/%[A-Z]+%|LoginName/);
  });

  it.for<[string, number, string?]>([
    ['autodiscover.json?Email=info%40example.org&Protocol=AutodiscoverV1&RedirectCount=1', 200],
    ['autodiscover.json?email=info@example.org&protocol=autodiscoverv1', 200],
    ['autodiscover.json/v1.0/info@example.org?Protocol=AutodiscoverV1', 200],
    ['Autodiscover.json?Email=info%40example.org&Protocol=ActiveSync', 400, 'InvalidProtocol'],
    ['autodiscover.json?Email=info%40example.org', 400, 'MandatoryParameterMissing'],
    ['autodiscover.json?Email=info&Protocol=AutodiscoverV1', 400, 'InvalidUserId'],
    ['autodiscover.json?Protocol=AutodiscoverV1', 400, 'InvalidUserId'],
  ])('answers Outlook in JSON: %s', async ([path, expected, code], { host }) => {
    const { status, headers, text } = await ask(
      host,
      `https://autodiscover.example.org/autodiscover/${path}`,
    );
    expect([status, headers['content-type']]).toEqual([expected, 'application/json']);
    const answer = JSON.parse(text) as Record<string, string>;
    if (code === undefined) {
      const url = `https://${hostName}/autodiscover/autodiscover.xml`;
      expect(answer).toEqual({ Protocol: 'AutodiscoverV1', Url: url });
    } else expect(answer.ErrorCode).toBe(code);
  });

  it('gives Apple’s devices a profile that is signed with the certificate served', async ({
    freshHost: host,
  }) => {
    const profile = () =>
      host
        .shell(
          `cd /run
         python3 -c 'import ssl, urllib.request
request = urllib.request.Request("https://127.0.0.1/apple.mobileconfig", headers={"Host": "${hostName}"})
answer = urllib.request.urlopen(request, context=ssl._create_unverified_context())
open("profile", "wb").write(answer.read())
print(answer.headers["Content-Type"])'
         openssl cms -verify -inform DER -in profile -CAfile /etc/ssl/mailhost/fullchain.pem -partial_chain -purpose any -signer signer.pem -out profile.plist 2>&1
         openssl x509 -in /etc/ssl/mailhost/fullchain.pem | cmp - signer.pem
         python3 -c 'import json, plistlib; print(json.dumps(plistlib.load(open("profile.plist", "rb"))))'`,
        )
        .split('\n');
    const [type, verdict, json] = profile();
    expect([type, verdict]).toEqual([
      'application/x-apple-aspen-config',
      'CMS Verification successful',
    ]);
    const { PayloadContent: content } = JSON.parse(json!) as { PayloadContent: object[] };
    expect(content).toMatchObject([
      {
        PayloadType: 'com.apple.mail.managed',
        IncomingMailServerHostName: hostName,
        IncomingMailServerPortNumber: 993,
        IncomingMailServerUseSSL: true,
        OutgoingMailServerHostName: hostName,
        OutgoingMailServerPortNumber: 465,
        OutgoingMailServerUseSSL: true,
      },
    ]);
    const path = 'mailhost:index:MailHost$mailhost:index:Certificate$tls:index/locallySignedCert';
    await host.up(
      {},
      '--replace',
      `urn:pulumi:dev::mailhost::${path}:LocallySignedCert::mail-certificate`,
    );
    expect(profile()).toEqual([type, verdict, json, '']);
  });
});
