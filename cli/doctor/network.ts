import { createSocket } from 'node:dgram';
import { connect, isIPv6, type Socket } from 'node:net';

/** Seconds. A name server answers within a fraction of one; over UDP a question may be lost. */
const dnsTimeout = 2;
const dnsTries = 3;
/** Seconds for a connection. */
const connectTimeout = 5;

/** All that a look from outside needs of the network. Tests have one of their own. */
export interface Network {
  /**
   * Sends a DNS message to port 53 of a server.
   *
   * @throws Error if no answer comes
   */
  exchange(server: string, message: Buffer): Promise<Buffer>;
  /** @throws Error if the port does not accept the connection */
  connect(address: string, port: number): Promise<Socket>;
  /** Whether this machine has a route to the address. */
  reaches(address: string): Promise<boolean>;
}

export const network: Network = {
  async exchange(server, message) {
    for (let left = dnsTries; ; left--) {
      try {
        const answer = await overUdp(server, message);
        return isTruncated(answer) ? await overTcp(server, message) : answer;
      } catch (error) {
        if (left === 1) throw error;
      }
    }
  },
  connect: (address, port) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: address, port, timeout: connectTimeout * 1000 });
      socket.once('connect', () => {
        socket.setTimeout(0);
        resolve(socket);
      });
      socket.once('timeout', () => socket.destroy(new Error(`no answer in ${connectTimeout} s`)));
      socket.once('error', reject);
    }),
  // The kernel looks for a route, and sends nothing.
  reaches: (address) =>
    new Promise((resolve) => {
      const socket = createSocket(familyOf(address));
      const end = (reached: boolean) => {
        socket.removeAllListeners().close();
        resolve(reached);
      };
      socket.once('error', () => end(false));
      socket.connect(53, address, () => end(true));
    }),
};

const familyOf = (address: string) => (isIPv6(address) ? 'udp6' : 'udp4');
/** The bit TC (RFC 1035, section 4.1.1). */
const isTruncated = (message: Buffer) => (message[2]! & 0x02) !== 0;

const overUdp = (server: string, message: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(familyOf(server));
    const end = (done: () => void) => {
      clearTimeout(timer);
      socket.removeAllListeners().on('error', () => undefined);
      socket.close();
      done();
    };
    const timer = setTimeout(
      () => end(() => reject(new Error(`no answer in ${dnsTimeout} s`))),
      dnsTimeout * 1000,
    );
    socket.once('error', (error) => end(() => reject(error)));
    // Of an address that is connected to, others' datagrams do not arrive; of its own only the one with the same id counts.
    socket.on('message', (answer) => {
      if (answer.subarray(0, 2).equals(message.subarray(0, 2))) end(() => resolve(answer));
    });
    socket.connect(53, server, () => socket.send(message));
  });

/** With the length before each message (RFC 1035, section 4.2.2). */
async function overTcp(server: string, message: Buffer): Promise<Buffer> {
  const socket = await network.connect(server, 53);
  socket.setTimeout(dnsTimeout * 1000, () => socket.destroy(new Error('no answer over TCP')));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  socket.write(Buffer.concat([length, message]));
  let received = Buffer.alloc(0);
  for await (const part of socket) {
    received = Buffer.concat([received, part as Buffer]);
    if (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) break;
  }
  socket.destroy();
  if (received.length < 2 || received.length < 2 + received.readUInt16BE())
    throw new Error('the answer over TCP was cut off');
  return received.subarray(2, 2 + received.readUInt16BE());
}
