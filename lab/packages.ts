import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { serviceImage } from './images';
import { withLock } from './lock';
import { addresses } from './network';
import { cacheRoot, kill, labNames, run, say, startUntil, stateRoot, type Lab } from './state';

/**
 * The one caching package proxy (squid) of this machine. It alone reaches outside, so it runs in no lab; the labs reach it
 * through a Unix socket, as their networks have no way out.
 */
const proxy: Lab = { name: '.packages', dir: join(stateRoot, '.packages') };
const port = 18128;
const socket = join(proxy.dir, 'socket');

/** Squid, with its own view of the image, and the socket; both end with the first process, and the mounts with them. */
const script = `
root=$1 image=$2 cache=$3 socket=$4 port=$5
mkdir -p "$root/upper" "$root/work" "$root/root"
mount -t overlay -o "lowerdir=$image,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"
cd "$root/root"
mount --bind /dev dev
mount -t tmpfs -o mode=1777 lab dev/shm
cp --remove-destination /etc/resolv.conf etc/resolv.conf
cat >etc/squid/lab.conf
mount --bind "$cache" var/spool/squid
chroot . chown proxy:proxy /var/spool/squid
chroot . squid -N -f /etc/squid/lab.conf -z
mkdir -p run/lab
mount --bind "$root" run/lab
chroot . socat "UNIX-LISTEN:/run/lab/socket,fork,unlink-early" "TCP:127.0.0.1:$port" &
chroot . squid -N -f /etc/squid/lab.conf
`;

const config = `http_port 127.0.0.1:${port}
acl lab src 127.0.0.0/8
http_access allow lab
http_access deny all
cache_dir ufs /var/spool/squid 8192 16 64
maximum_object_size 1 GB
cache_mem 64 MB
refresh_pattern -i \\.(deb|xz|gz)$ 129600 100% 129600
refresh_pattern . 0 20% 60
pid_filename none
access_log none
visible_hostname packages.lab
shutdown_lifetime 0 seconds
pinger_enable off
`;

/** Starts the proxy where it does not run. Not from within a lab. */
export const startPackageProxy = (): Promise<void> => withLock('packages', startIfMissing);

async function startIfMissing(): Promise<void> {
  if (await answers()) return;
  await kill(proxy);
  rmSync(proxy.dir, { recursive: true, force: true });
  const cache = join(cacheRoot, 'packages', 'shared');
  for (const dir of [cache, proxy.dir]) mkdirSync(dir, { recursive: true });
  const file = join(proxy.dir, 'lab.conf');
  writeFileSync(file, config);
  const command = [
    ...['--fork', '--kill-child', '--pid', '--mount-proc', '--', 'sh', '-euc'],
    `exec <${file}; ${script}`,
    ...['packages', proxy.dir, serviceImage(), cache, socket, String(port)],
  ];
  await startUntil(proxy, 'squid', 'unshare', command, answers);
  say('the package proxy is up');
}

/** Ends it where no lab is left that could ask it, and nobody holds it. */
export const stopPackageProxy = (): Promise<void> =>
  withLock('packages', async () => {
    if (labNames().length > 0 || holders().some(lives)) return;
    await kill(proxy);
    for (const dir of [proxy.dir, held]) rmSync(dir, { recursive: true, force: true });
  });

/** Has an empty file for each process that holds the proxy, named by its id. */
const held = join(stateRoot, '.packages-held');
const holders = () => (existsSync(held) ? readdirSync(held) : []);
const lives = (pid: string) => existsSync(join('/proc', pid));

/** Keeps the proxy up between the labs of this process, which are in cells: these cannot start it. */
export const holdPackageProxy = (): Promise<void> =>
  withLock('packages', () => {
    mkdirSync(held, { recursive: true });
    writeFileSync(join(held, String(process.pid)), '');
    return startIfMissing();
  });

export async function releasePackageProxy(holder = process.pid): Promise<void> {
  rmSync(join(held, String(holder)), { force: true });
  await stopPackageProxy();
}

/** Whether the socket is there and squid behind it. */
function answers(): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(socket, () => client.write('GET / HTTP/1.0\r\n\r\n'));
    client.on('data', () => {
      resolve(true);
      client.destroy();
    });
    for (const event of ['error', 'close']) client.on(event, () => resolve(false));
  });
}

/**
 * Lets the lab's machines reach the proxy, at the address of who works in the lab.
 *
 * @param root root file system with socat in it
 */
export async function connectPackageProxy(lab: Lab, root: string): Promise<void> {
  const { v4 } = addresses.outside;
  const inside = join(root, 'run/packages');
  mkdirSync(inside, { recursive: true });
  run('mount', ['--bind', proxy.dir, inside]);
  const listener = `TCP-LISTEN:3128,bind=${v4},fork,reuseaddr`;
  const command = [root, 'socat', listener, 'UNIX-CONNECT:/run/packages/socket'];
  await startUntil(lab, 'packages', 'chroot', command, () =>
    run('ss', ['-ltnH', `src ${v4}`]).includes(':3128'),
  );
}
