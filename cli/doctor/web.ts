import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { mtaStsId } from '../../components/dns/mtaSts';
import type { HostStack } from '../stack';
import { withTls } from './dialogue';
import type { Dns } from './dns';
import type { Result } from './finding';
import type { Network } from './network';
import { certificateResults } from './services';

/** Octets of a page at most. */
const longest = 65_536;
/** Seconds. */
const patience = 10;

interface Page {
  status: number;
  location?: string;
  text: string;
}

/**
 * Fetches the policy of MTA-STS of a domain as a mail system does, which goes by the certificate (RFC 8461, section 3.3).
 *
 * @param now in ms
 */
export async function mtaStsResults(
  network: Network,
  dns: Dns,
  stack: HostStack,
  { domain, address, now }: { domain: string; address: string; now: number },
): Promise<Result[]> {
  const name = `mta-sts.${domain}`;
  const found = (evidence: string): Result[] => [
    { code: 'mta-sts-policy', about: name, place: address, evidence },
  ];
  const socket = await network.connect(address, 443).catch(() => undefined);
  // That the port is closed is another finding.
  if (socket === undefined) return [];
  let page: Page;
  try {
    const secured = await withTls(socket, name, stack.caCertPem);
    const at = { about: name, place: `port 443 of ${address}` };
    const faults = certificateResults(secured, secured.getPeerX509Certificate(), name, at, now);
    if (faults.length > 0) return faults;
    page = await get(secured, name, '/.well-known/mta-sts.txt');
  } catch (error) {
    return found(`https://${name}/.well-known/mta-sts.txt: ${(error as Error).message}`);
  } finally {
    socket.destroy();
  }
  if (page.status !== 200) return found(`the policy answers ${page.status}`);
  const [mode] = /(?<=^mode: *)\w+/m.exec(page.text) ?? [];
  if (mode !== stack.mtaSts)
    return found(`its mode is ${mode ?? 'missing'}, and that of the plan ${stack.mtaSts}`);
  const hosts = [...page.text.matchAll(/^mx: *(\S+)\s*$/gm)].map(([, host]) => host);
  if (!hosts.includes(stack.hostName))
    return found(`it names ${hosts.join(' and ') || 'no mail exchanger'}, not ${stack.hostName}`);
  const announced = (await dns.texts(`_mta-sts.${domain}`)).find((text) => /^v=STSv1\b/.test(text));
  const [id] = /(?<=\bid=)\w+/.exec(announced ?? '') ?? [];
  // That the record is there is compared with the plan.
  return id === undefined || id === mtaStsId(page.text)
    ? []
    : found(`the record announces ${id}, and the policy is ${mtaStsId(page.text)}`);
}

/** Fetches the settings of a mail client as Thunderbird does, which falls back to HTTP. */
export async function autoconfigResults(
  network: Network,
  { hostName, caCertPem }: HostStack,
  domain: string,
  address: string,
): Promise<Result[]> {
  const name = `autoconfig.${domain}`;
  const path = '/mail/config-v1.1.xml';
  const found = (evidence: string): Result[] => [
    { code: 'autoconfig', about: name, place: address, evidence },
  ];
  const first = await network.connect(address, 80).catch((error: Error) => error);
  if (first instanceof Error) return found(`http://${name}${path}: ${first.message}`);
  let second: Socket | undefined;
  try {
    let page = await get(first, name, path);
    const target = `https://${hostName}${path}`;
    if (page.location === target) {
      second = await network.connect(address, 443);
      page = await get(await withTls(second, hostName, caCertPem), hostName, path);
    }
    return page.status === 200 && page.text.includes('<clientConfig')
      ? []
      : found(
          `http://${name}${path} answers ${page.status}${page.location ? `, ${page.location}` : ''}`,
        );
  } catch (error) {
    return found(`http://${name}${path}: ${(error as Error).message}`);
  } finally {
    first.destroy();
    second?.destroy();
  }
}

const get = (socket: Socket | TLSSocket, host: string, path: string): Promise<Page> =>
  new Promise((resolve, reject) => {
    const asked = request(
      { host, path, method: 'GET', createConnection: () => socket },
      (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (part: string) => {
            text += part;
            if (text.length > longest) response.destroy(new Error(`more than ${longest} octets`));
          })
          .on('error', reject)
          .on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              location: response.headers.location,
              text,
            }),
          );
      },
    );
    asked
      .setTimeout(patience * 1000, () => asked.destroy(new Error(`no answer in ${patience} s`)))
      .on('error', reject)
      .end();
  });
