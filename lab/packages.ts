import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addresses } from './network';
import { cacheRoot, mustRun, run, say, start, waitFor, type Lab } from './state';

/**
 * Starts the caching package proxy (squid) on this machine's end of the lab's link. A cache serves one squid at a time:
 * each lab has that of its number, and a lab alone always has the first, which is warm.
 *
 * @param root root file system with squid in it
 */
export async function startPackageProxy(lab: Lab, root: string): Promise<void> {
  const { outside, v4Network } = addresses(lab);
  const cache = join(cacheRoot, 'packages', String(lab.index));
  writeFileSync(
    join(root, 'etc/squid/lab.conf'),
    `http_port ${outside.v4}:3128
acl lab src ${v4Network}
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
`,
  );
  run('cp', ['--remove-destination', '/etc/resolv.conf', join(root, 'etc/resolv.conf')]);
  mkdirSync(cache, { recursive: true });
  const spool = join(root, 'var/spool/squid');
  const squid = [root, 'squid', '-N', '-f', '/etc/squid/lab.conf'];
  run('mount', ['--bind', cache, spool]);
  run('chroot', [root, 'chown', 'proxy:proxy', '/var/spool/squid']);
  run('chroot', [...squid, '-z']);
  const pid = start(lab, 'squid', 'chroot', squid);
  await waitFor('the package proxy listens', () => {
    mustRun(lab, 'squid', pid);
    return run('ss', ['-ltnH', `src ${outside.v4}`]).includes(':3128');
  });
  say(`package proxy on ${outside.v4}:3128`);
}
