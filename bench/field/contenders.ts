import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kit } from './kit';
import { tools } from './tools';

/** One way to make the host on a bare machine, out of the same kit. */
export interface Contender {
  name: string;
  /** From a machine that boots to the finished host. */
  first: (kit: Kit) => Promise<void>;
  /** What its user runs again, whether something has changed or not; none where it can be run once only. */
  again?: (kit: Kit) => Promise<void>;
}

/** Runs a program to its end; what it printed is kept in the kit's folder, and its end is the error's. */
async function execute(
  kit: Kit,
  label: string,
  command: string,
  args: string[],
  { env = {}, input }: { env?: Record<string, string>; input?: string } = {},
): Promise<string> {
  const log = createWriteStream(join(kit.dir, `${label}.log`));
  const child = spawn(command, args, { env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      log.write(text);
    });
  }
  child.stdin.end(input ?? '');
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  log.end();
  if (status !== 0) throw new Error(`${label} failed:\n${output.slice(-4000)}`);
  return output;
}

const units = [
  'nftables',
  'fail2ban',
  'unbound',
  'mailhost-renew.timer',
  'mailhost-sign.timer',
  'spamd',
  'spamassassin-maintenance.timer',
  'dovecot',
  'amavis',
  'opensmtpd',
  'nginx',
];

/** One connection, one script. It tries again to connect while the machine boots. */
const floor: Contender = {
  name: 'floor',
  first: async (kit) => {
    const { volume, packages, resolvers } = kit.vars;
    const values = {
      volume,
      host_name: kit.finished.hostName,
      packages: packages.join(' '),
      resolvers: resolvers.join(' '),
      units: units.join(' '),
      owners: kit.owners().join('\n'),
    };
    const assignments = Object.entries(values).map(([key, value]) => `${key}='${value}'\n`);
    const script = readFileSync(join(__dirname, 'floor.sh'), 'utf8');
    await execute(
      kit,
      'floor',
      'ssh',
      [
        ...kit.sshOptions,
        '-o',
        'ConnectionAttempts=300',
        `root@${kit.finished.ipv4}`,
        'umask 077; cat >/root/floor.sh; umask 022; sh /root/floor.sh',
      ],
      { input: `${assignments.join('')}${script}${kit.archive()}` },
    );
  },
};

function playbooks(kit: Kit, ...names: string[]): Promise<string> {
  const folder = join(__dirname, 'ansible');
  const inventory = join(kit.dir, 'inventory.json');
  const host = {
    ansible_host: kit.finished.ipv4,
    ansible_user: 'root',
    ansible_ssh_private_key_file: kit.key,
    ansible_ssh_common_args: `-o UserKnownHostsFile=${kit.knownHosts}`,
    kit: kit.dir,
  };
  writeFileSync(inventory, JSON.stringify({ mail: { hosts: { mail: host } } }));
  return execute(
    kit,
    'ansible',
    join(tools(), 'ansible-playbook'),
    [
      '--inventory',
      inventory,
      '--extra-vars',
      `@${join(kit.dir, 'vars.json')}`,
      ...names.map((name) => join(folder, name)),
    ],
    {
      env: {
        ANSIBLE_CONFIG: join(folder, 'ansible.cfg'),
        ANSIBLE_HOME: join(kit.dir, 'ansible'),
        // The next machine has the same address.
        ANSIBLE_SSH_CONTROL_PATH_DIR: join(kit.dir, kit.vars.volume.replace(/^.*_/, 'ssh-')),
      },
    },
  );
}

const ansible: Contender = {
  name: 'Ansible',
  first: async (kit) => {
    await playbooks(kit, 'bare.yml', 'site.yml');
  },
  again: async (kit) => {
    await playbooks(kit, 'site.yml');
  },
};

async function pyinfra(kit: Kit): Promise<void> {
  const folder = join(__dirname, 'pyinfra');
  await execute(
    kit,
    'pyinfra',
    join(tools(), 'pyinfra'),
    ['--yes', join(folder, 'inventory.py'), join(folder, 'deploy.py')],
    { env: { KIT: kit.dir } },
  );
}

export const contenders: Contender[] = [
  floor,
  ansible,
  { name: 'pyinfra', first: pyinfra, again: pyinfra },
];
