import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { environment } from './env';
import type { StackOutputs } from './proof';
import type { Lab } from './state';

const project = join(__dirname, '..');

/** The folder of the engine that the lab built, or undefined where the system's is used. Builds it where it is missing. */
export function engine(): string | undefined {
  const built = execFileSync(join(__dirname, 'engine', 'build'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return built.trim() || undefined;
}

/** Outputs of the stack `dev` in this lab, secrets aside. */
export function stackOutputs(lab: Lab): StackOutputs {
  const env = { ...process.env, ...environment(lab, engine()) };
  const text = execFileSync('pulumi', ['stack', 'output', '--json', '--cwd', project], {
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(text) as StackOutputs;
}
