import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { longestWait } from '../../lab/state';

export const hostName = 'mail.example.org';

/** Ports with what makes them speak TLS. */
export const ports = [
  [25, 'smtp'],
  [465],
  [587, 'smtp'],
  [993],
  [4190, 'sieve'],
  [443],
] as readonly (readonly [number, string?])[];

/** The form of a serial number. */
export const hex = /^[0-9A-F]+$/;

export interface TlsServer {
  address: string;
  /** File with the PEM of the CA that the client trusts, and of no other. */
  ca: string;
}

/**
 * The serial number of the certificate that a port serves from outside.
 *
 * @throws Error where a client that trusts the CA would not go on, with the words of openssl
 */
export async function serialAt(
  { address, ca }: TlsServer,
  port: number,
  protocol?: string,
  served = hostName,
): Promise<string> {
  const starttls = protocol ? ['-starttls', protocol] : [];
  const client = promisify(execFile)(
    'openssl',
    [
      ...['s_client', '-connect', `${address}:${port}`, ...starttls, '-servername', served],
      ...['-verify_hostname', served, '-CAfile', ca, '-verify_return_error'],
    ],
    { timeout: longestWait * 1000 },
  );
  client.child.stdin!.end();
  const { stdout, stderr } = await client.catch(
    (error: unknown) => error as { stdout: string; stderr: string },
  );
  const [pem] = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(stdout) ?? [];
  const [wrong] = /verify error:.*/.exec(stdout + stderr) ?? [];
  if (wrong !== undefined) throw new Error(`port ${port}: certificate: ${wrong}`);
  if (pem === undefined) throw new Error(`port ${port}: ${stderr}`);
  return new X509Certificate(pem).serialNumber;
}

/** Those of several ports, each once. */
export const serialsAt = async (server: TlsServer, of = ports): Promise<string[]> => [
  ...new Set(await Promise.all(of.map(([port, protocol]) => serialAt(server, port, protocol)))),
];
