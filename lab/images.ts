import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { privateReverseZones } from './dns';
import { cacheRoot, run, say } from './state';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** The mirrors in this machine's own apt sources, in either format of theirs. */
function mirrors(): { debian: string; security: string } {
  const folder = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...readdirSync(folder).map((name) => join(folder, name))];
  const urls = files
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => !line.startsWith('#'))
    .flatMap((line) => line.match(/https?:\/\/\S+/g) ?? [])
    .map((url) => url.replace(/\/$/, ''));
  return {
    debian: urls.find((url) => url.endsWith('/debian')) ?? 'http://deb.debian.org/debian',
    security:
      urls.find((url) => url.endsWith('/debian-security')) ??
      'http://deb.debian.org/debian-security',
  };
}

const { debian, security } = mirrors();
const sourcesOf = (release: string) => [
  `deb [signed-by=${keyring}] ${debian} ${release} main`,
  `deb [signed-by=${keyring}] ${debian} ${release}-updates main`,
  `deb [signed-by=${keyring}] ${security} ${release}-security main`,
];

/** As Hetzner's `debian-13`: systemd, cloud-init, sshd, and nothing of mail. */
const machinePackages = [
  'systemd-sysv',
  'dbus',
  'udev',
  'openssh-server',
  'cloud-init',
  'python3',
  'iproute2',
  'iputils-ping',
  'nftables',
  'cron',
  'ca-certificates',
  'e2fsprogs',
  'procps',
  'less',
  'logrotate',
  'debian-archive-keyring',
];

/** The lab's own daemons and tools run from an image of their own, so that none is installed on this machine. */
const servicePackages = [
  'knot',
  'knot-dnsutils',
  'unbound',
  'squid',
  'ca-certificates',
  'openssh-server',
  'pebble',
  'testssl.sh',
  // It looks with it for commands that are injected before STARTTLS.
  'socat',
  // Of it posttls-finger alone, which goes by TLSA records as a sender does.
  'postfix',
];

/** In ClamAV's form: name, any type of file, anywhere in it, the octets. Its text would alarm scanners of this machine. */
const eicarSignature =
  'Eicar-Test:0:*:58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d' +
  '5354414e444152442d414e544956495255532d544553542d46494c452124482b482a';

const machineSetup = `
cat >"$1/etc/cloud/cloud.cfg.d/90_lab.cfg" <<'EOF'
datasource_list: [NoCloud]
network: {config: disabled}
disable_root: false
system_info: {default_user: {name: root}}
EOF
# The lab's own root and its own list of public suffixes stay where Debian's packages would put the real ones.
for file in dns/root.key dns/root.hints publicsuffix/public_suffix_list.dat; do
  dpkg-divert --root="$1" --quiet --add --no-rename --divert "/usr/share/$file.debian" "/usr/share/$file"
done
mkdir -p "$1/usr/share/publicsuffix" "$1/etc/unbound/unbound.conf.d"
printf '%s\\n' arpa com example net org >"$1/usr/share/publicsuffix/public_suffix_list.dat"
cat >"$1/etc/unbound/unbound.conf.d/lab.conf" <<'EOF'
server:
${privateReverseZones}EOF
# ClamAV gets its signatures from servers that the lab has not; it knows the EICAR test file by this one, and starts
# where the two folders are.
mkdir -p "$1"/var/lib/clamav/main.inc "$1"/var/lib/clamav/daily.inc
cat >"$1/var/lib/clamav/lab.ndb" <<'EOF'
${eicarSignature}
EOF
rm -f "$1"/etc/ssh/ssh_host_*
: >"$1/etc/machine-id"
`;

/** The root file system of a machine, built once for each state of the lists above. */
export const machineImage = () => image('machine', machinePackages, machineSetup);

/** The root file system that the lab's servers run in. */
export const serviceImage = () => image('services', servicePackages, '');

/** The root file system of a mail host of another kind. */
export const oldHostImage = () => image('old-host', ['dovecot-imapd'], '', 'bookworm');

function image(name: string, packages: string[], setup: string, release = 'trixie'): string {
  const sources = sourcesOf(release);
  const version = createHash('sha256')
    .update(JSON.stringify([packages, setup, sources]))
    .digest('hex')
    .slice(0, 12);
  const images = join(cacheRoot, 'images');
  const path = join(images, `${name}-${version}`);
  if (existsSync(path)) return path;
  mkdirSync(images, { recursive: true });
  say(`building the ${name} image (once, about half a minute)`);
  const hook = join(images, `${name}-setup-${version}`);
  writeFileSync(hook, `set -eu\n${setup}`);
  // Labs that begin side by side build it once; the kernel frees the lock of one that is killed.
  const build =
    'path=$1; shift; [ ! -e "$path" ] || exit 0; rm -rf "$path.new"; mmdebstrap "$@"; mv "$path.new" "$path"';
  execFileSync(
    'flock',
    [
      `${path}.lock`,
      ...['sh', '-euc', build, 'build', path],
      '--variant=minbase',
      `--include=${packages.join(',')}`,
      '--aptopt=Acquire::Languages "none"',
      `--customize-hook=sh ${hook} "$1"`,
      release,
      `${path}.new`,
      ...sources,
    ],
    { stdio: ['ignore', 2, 2] },
  );
  return path;
}

/** Names, in the folder of a root file system, of what lies between the image and `upper` in a copy of a kept lab. */
export const layersFile = 'layers';

/** Mounts a writable view of an image, and of the layers of a kept lab on it; what is written lies in `upper` of `dir`. */
export function mountOverlay(imagePath: string, dir: string): string {
  const file = join(dir, layersFile);
  const layers = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const [upper, work, root] = ['upper', 'work', 'root'].map((part) => join(dir, part));
  for (const part of [upper!, work!, root!]) mkdirSync(part, { recursive: true, mode: 0o755 });
  run('mount', [
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${[...layers, imagePath].join(':')},upperdir=${upper},workdir=${work}`,
    root!,
  ]);
  return root!;
}
