import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { Machines } from '../../lab/machines';
import { received } from '../../lab/remote/mailbox';
import { project } from '../../lab/sources';
import type { Lab } from '../../lab/state';

export type Task = TestContext['task'];

declare module 'vitest' {
  interface TaskMeta {
    /** The folder with what may explain its failure. */
    evidence?: string;
  }
}

/** Where each failed test has a folder; emptied when a run begins. */
const failures = join(project, 'test-failures');

export const forgetFailures = (): void => rmSync(failures, { recursive: true, force: true });

/** What says most of a mail host that did not do what was expected, one file each. */
const questions = {
  'journal.txt': 'journalctl --no-pager --lines 2000 --output short-iso-precise',
  'queue.txt': 'smtpctl show queue',
  'check.txt': 'mailhost check',
  'history.txt': 'mailhost history',
  'units.txt': 'systemctl --failed --no-pager; systemctl --no-pager list-timers',
  'sockets.txt': 'ss -ltnp',
  // Folder, size and subject of each message: where one lies that was looked for elsewhere.
  'mailboxes.txt':
    'cd /srv/mailhost/mail 2>/dev/null || cd /home; find . -type f \\( -path "*/cur/*" -o -path "*/new/*" \\) -printf "%TT %s %h\\n" -exec grep -m 4 -iE "^(subject|message-id|x-spam-status):" {} \\;',
};

/** Keeps what may explain a failure, and says where. */
export function keepEvidence(lab: Lab, task: Task): void {
  const name = `${task.file.name.split('/').at(-1)?.replace('.test.ts', '')} ${task.name}`;
  const folder = join(failures, name.replace(/[^\w.-]+/g, '-').slice(0, 100));
  mkdirSync(folder, { recursive: true });
  task.meta.evidence = folder;
  const keep = (file: string, text: () => string) => {
    try {
      writeFileSync(join(folder, file), text());
    } catch (error) {
      writeFileSync(join(folder, file), `not to be had: ${String(error)}\n`);
    }
  };
  keep('errors.txt', () => (task.result?.errors ?? []).map((e) => e.stack ?? e.message).join('\n'));
  const machines = new Machines(lab);
  for (const id of machines.ids()) {
    for (const [file, question] of Object.entries(questions)) {
      keep(`machine-${id}-${file}`, () => {
        const [first, ...rest] = machines.command(id, ['sh', '-c', `${question} 2>&1 || true`]);
        return execFileSync(first!, rest, {
          encoding: 'utf8',
          timeout: 300_000,
          maxBuffer: 64 << 20,
          stdio: ['ignore', 'pipe', 'ignore'],
        });
      });
    }
  }
  const logs = join(lab.dir, 'log');
  for (const log of existsSync(logs) ? readdirSync(logs) : [])
    keep(`lab-${log}`, () => readFileSync(join(logs, log), 'utf8').slice(-200_000));
  const state = join(lab.dir, 'pulumi/.pulumi/stacks/mailhost/dev.json');
  if (existsSync(state)) keep('state.json', () => readFileSync(state, 'utf8'));
  keep('remote-received.txt', () =>
    received(lab.dir)
      .map(({ from, to, raw }) => `${from} -> ${to.join(' ')}\n${raw.slice(0, 2000)}\n----\n`)
      .join(''),
  );
  console.log(`kept to explain the failure: ${folder}`);
}
