import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { MachineSpec } from './backend';
import type { RootFiles } from './dns';
import { machineImage, mountOverlay } from './images';
import { addresses, createLink, deleteNamespace } from './network';
import { kill, mustRun, processes, run, start, waitFor, type Lab } from './state';

/** Debian 13 machines booted with systemd, each from an overlay on the image, in its own network namespace. */
export class Machines {
  constructor(private readonly lab: Lab) {}

  private dir(id: number): string {
    return join(this.lab.dir, 'machines', String(id));
  }

  /** The machine's `/dev/disk/by-id`. */
  private disks(id: number): string {
    return join(this.dir(id), 'disks');
  }

  private root(id: number): string {
    return join(this.dir(id), 'root');
  }

  /** Of the machines that are there, and not just being made or removed. */
  ids(): number[] {
    const dir = join(this.lab.dir, 'machines');
    const folders = existsSync(dir) ? readdirSync(dir) : [];
    return folders.filter((id) => existsSync(join(dir, id, 'spec.json'))).map(Number);
  }

  /** The mail host: the machine with the address that was handed out first. Another server beside it has a later one. */
  host(): number {
    const place = (id: number) => {
      const at = addresses.ipv4Pool.indexOf(this.spec(id).ipv4 ?? '');
      return at < 0 ? Infinity : at;
    };
    return this.ids().sort((a, b) => place(a) - place(b))[0]!;
  }

  spec(id: number): MachineSpec {
    return JSON.parse(readFileSync(join(this.dir(id), 'spec.json'), 'utf8')) as MachineSpec;
  }

  /**
   * @param rootFiles take the place of Debian's
   * @param ca PEM of one that the machine trusts besides Debian's
   */
  create(spec: MachineSpec, rootFiles: RootFiles, ca: string): void {
    const { outside, resolver } = addresses;
    mkdirSync(this.disks(spec.id), { recursive: true });
    // The user data holds the host key.
    writeFileSync(join(this.dir(spec.id), 'spec.json'), JSON.stringify(spec), { mode: 0o600 });
    this.connect(spec.id);
    const root = this.root(spec.id);
    const put = (path: string, text: string, mode = 0o644) => {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), text, { mode });
    };
    put('etc/hostname', `${spec.name}\n`);
    rmSync(join(root, 'etc/resolv.conf'), { force: true });
    put('etc/resolv.conf', `nameserver ${resolver.v4}\n`);
    put('usr/share/dns/root.key', rootFiles.key);
    put('usr/share/dns/root.hints', rootFiles.hints);
    put('usr/local/share/ca-certificates/lab.crt', ca);
    appendFileSync(join(root, 'etc/ssl/certs/ca-certificates.crt'), ca);
    // Takes the place of the machine's way to Debian's mirrors.
    put('etc/apt/apt.conf.d/00lab', `Acquire::http::Proxy "http://${outside.v4}:3128";\n`);
    const seed = 'var/lib/cloud/seed/nocloud';
    put(
      `${seed}/meta-data`,
      stringify({
        'instance-id': String(spec.id),
        'local-hostname': spec.name,
        'public-keys': spec.authorizedKeys,
      }),
      0o600,
    );
    put(`${seed}/user-data`, spec.userData, 0o600);
  }

  /** Gives a machine its link, its disk and a place for volumes, as it has to have them before it boots. */
  connect(id: number): void {
    const { ipv4, ipv6 } = this.spec(id);
    mkdirSync(this.disks(id), { recursive: true });
    createLink(`m${id}`, ipv4, ipv6 && `${ipv6}/64`);
    mountOverlay(machineImage(), this.dir(id));
  }

  /** Gives a machine that is off a link with other addresses. */
  setAddresses(id: number, { ipv4, ipv6 }: Pick<MachineSpec, 'ipv4' | 'ipv6'>): void {
    const spec: MachineSpec = { ...this.spec(id), ipv4, ipv6 };
    writeFileSync(join(this.dir(id), 'spec.json'), JSON.stringify(spec), { mode: 0o600 });
    deleteNamespace(`m${id}`);
    createLink(`m${id}`, ipv4, ipv6 && `${ipv6}/64`);
  }

  async powerOn(id: number): Promise<void> {
    if (this.running(id)) return;
    const name = `m${id}`;
    const nspawn = [
      'systemd-nspawn',
      '--quiet',
      `--directory=${this.root(id)}`,
      '--boot',
      '--keep-unit',
      '--register=no',
      `--machine=${name}`,
      `--network-namespace-path=/run/netns/${name}`,
      '--capability=CAP_NET_ADMIN,CAP_NET_RAW',
      '--resolv-conf=off',
      '--timezone=off',
      '--link-journal=no',
      '--console=pipe',
      `--bind=${this.disks(id)}:/dev/disk/by-id`,
    ];
    const pid = start(this.lab, `machine-${id}`, 'sh', [
      '-c',
      bootLoop,
      'machine',
      ...cgroupsOf(this.lab, name),
      '--',
      ...nspawn,
    ]);
    await waitFor(`machine ${id} boots`, () => {
      mustRun(this.lab, `machine-${id}`, pid);
      return this.leader(id);
    });
  }

  running(id: number): boolean {
    return processes(this.lab, `machine-${id}`).length > 0;
  }

  /** The process id, seen from here, of the machine's own init. */
  leader(id: number): number | undefined {
    const below = (pid: number): number[] =>
      readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number);
    try {
      return processes(this.lab, `machine-${id}`)
        .flatMap(({ pid }) => below(pid).flatMap(below))
        .find((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'systemd\n');
    } catch {
      return undefined;
    }
  }

  /** Pulls the plug. */
  async powerOff(id: number): Promise<void> {
    await kill(this.lab, `machine-${id}`);
    await removeCgroups(cgroupsOf(this.lab, `m${id}`));
  }

  async shutdown(id: number): Promise<void> {
    await this.signalInit(id, 'SIGRTMIN+4');
    await waitFor(`machine ${id} shuts down`, () => !this.running(id));
  }

  async reboot(id: number): Promise<void> {
    await this.shutdown(id);
    await this.powerOn(id);
  }

  private async signalInit(id: number, signal: string): Promise<void> {
    const pid = await waitFor(`machine ${id} has an init`, () => this.leader(id));
    run('kill', ['-s', signal.replace('SIG', ''), String(pid)]);
  }

  /** Runs a command in the machine, in all of its namespaces. */
  command(id: number, command: string[]): string[] {
    const pid = this.leader(id);
    if (pid === undefined) throw new Error(`machine ${id} is not running`);
    return ['nsenter', '--all', `--target=${pid}`, '--root', '--wd', '--', ...command];
  }

  async delete(id: number): Promise<void> {
    await this.powerOff(id);
    unmountBelow(this.dir(id));
    deleteNamespace(`m${id}`);
    rmSync(this.dir(id), { recursive: true, force: true });
  }

  // ---- volumes: a file with a file system of its own, on a loop device that the machine sees as a disk ----

  private volumeFile(id: number): string {
    return join(this.lab.dir, 'volumes', String(id));
  }

  createVolume(id: number, sizeGb: number, format: 'ext4' | 'xfs' | undefined): void {
    mkdirSync(join(this.lab.dir, 'volumes'), { recursive: true });
    const file = this.volumeFile(id);
    run('truncate', ['--size', `${sizeGb}G`, file]);
    if (format !== undefined) run(`mkfs.${format}`, ['-q', file]);
  }

  resizeVolume(id: number, sizeGb: number): void {
    run('truncate', ['--size', `${sizeGb}G`, this.volumeFile(id)]);
    for (const device of loopsBelow(this.volumeFile(id)))
      run('losetup', ['--set-capacity', device]);
  }

  deleteVolume(id: number): void {
    for (const device of loopsBelow(this.volumeFile(id))) run('losetup', ['--detach', device]);
    rmSync(this.volumeFile(id), { force: true });
  }

  /** The machine gets the device at once. */
  attachVolume(id: number, machineId: number): void {
    const device = run('losetup', ['--find', '--show', this.volumeFile(id)]).trim();
    const number = run('stat', ['-c', '%Hr %Lr', device]).trim().split(' ');
    run('mknod', ['-m', '0660', this.node(id, machineId), 'b', ...number]);
  }

  /** A device that is in use is let go of by the kernel with the last mount. */
  detachVolume(id: number): void {
    for (const machineId of this.ids()) rmSync(this.node(id, machineId), { force: true });
    for (const device of loopsBelow(this.volumeFile(id))) run('losetup', ['--detach', device]);
  }

  private node(id: number, machineId: number): string {
    return join(this.disks(machineId), `scsi-0HC_Volume_${id}`);
  }
}

/**
 * Boots again when the machine asks for it, as nspawn says by its exit status; back in its cgroups each time, because
 * nspawn leaves them. Arguments: cgroups, `--`, command.
 */
const bootLoop = `
cgroups=
while [ "$1" != -- ]; do cgroups="$cgroups $1"; shift; done
shift
while :; do
  for cgroup in $cgroups; do mkdir -p "$cgroup"; echo $$ >"$cgroup/cgroup.procs"; done
  "$@"
  [ $? = 133 ] || exit
done
`;

/** Where cgroups are mounted: the unified hierarchy, and systemd's own where both kinds are in use. */
const cgroupRoots = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd'].filter(
  (dir) => existsSync(join(dir, 'cgroup.procs')),
);

/**
 * A machine's cgroups are its own, so that the init of one does not meet the units of another. All labs of this machine
 * share the one tree of cgroups.
 */
const cgroupsOf = ({ name }: Lab, machine: string) =>
  cgroupRoots.map((dir) => join(dir, `mhlab-${name}-${machine}`));

/** Ends what is left of all machines of a lab, also after a crash. */
export async function removeAllCgroups({ name }: Lab): Promise<void> {
  const own = new RegExp(`^mhlab-${name}-m\\d+$`);
  await removeCgroups(
    cgroupRoots.flatMap((dir) =>
      readdirSync(dir)
        .filter((entry) => own.test(entry))
        .map((entry) => join(dir, entry)),
    ),
  );
}

/** Ends all that runs in a machine: its init outlives nspawn. */
async function removeCgroups(all: string[]): Promise<void> {
  const cgroups = all.filter((dir) => existsSync(dir));
  for (const killer of cgroups.map((cgroup) => join(cgroup, 'cgroup.kill'))) {
    if (existsSync(killer)) writeFileSync(killer, '1');
  }
  for (const cgroup of cgroups) {
    await waitFor(`cgroup ${cgroup} is empty`, () => {
      spawnSync('find', [cgroup, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
      return !existsSync(cgroup);
    });
  }
}

/** Loop devices whose file is `path` or lies below it. */
export function loopsBelow(path: string): string[] {
  const listed = run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']);
  return listed
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, file]) => file === path || file?.startsWith(`${path}/`))
    .map(([device]) => device!);
}

/** Unmounts all that is mounted at a folder and below it, the deepest first. */
export function unmountBelow(dir: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path === dir || path.startsWith(`${dir}/`))
    .reverse();
  for (const path of mounts) run('umount', ['--lazy', path]);
}

/** Runs a shell command as root on the mail host of a lab. */
export function onHost(of: Lab, command: string): string {
  const machines = new Machines(of);
  const [first, ...rest] = machines.command(machines.host(), ['sh', '-c', command]);
  return run(first!, rest);
}

/** Where the files of the mail host of a lab lie, seen from here; good until it boots again. */
export function hostRoot(of: Lab): string {
  const machines = new Machines(of);
  return `/proc/${machines.leader(machines.host())}/root`;
}
