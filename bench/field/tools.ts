import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { cacheRoot, run } from '../../lab/state';
import { say } from '../frame';

const requirements = join(__dirname, 'requirements.txt');

/** The folder of the other tools' programs: a virtual environment of Python, made once. */
export function tools(): string {
  const version = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  const path = join(cacheRoot, `field-${version.slice(0, 12)}`);
  const bin = join(path, 'bin');
  if (!existsSync(join(path, 'ready'))) {
    say('installing Ansible and pyinfra (once)');
    rmSync(path, { recursive: true, force: true });
    mkdirSync(cacheRoot, { recursive: true });
    run('python3', ['-m', 'venv', path]);
    run(join(bin, 'pip'), ['install', '--quiet', '--requirement', requirements]);
    // Its programs name the folder that they were made in, so it is marked as whole and not moved.
    mkdirSync(join(path, 'ready'));
  }
  return bin;
}
