import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

/** A text in every form in which it could stand somewhere by accident. */
function forms(text: string): string[] {
  const bytes = Buffer.from(text);
  // Base64 of a longer text that has it at any of three offsets; the first and last characters hold bits of others.
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .slice(offset === 0 ? 0 : offset + 1, -4),
  );
  const hashes = ['md5', 'sha1', 'sha256'].map((name) => createHash(name).update(text).digest());
  return [
    text,
    ...hashes.flatMap((hash) => [hash.toString('hex'), hash.toString('base64')]),
    ...base64,
    // One of the halves is whole also where lines have 76 characters.
    ...base64.flatMap((form) => {
      const half = Math.floor(form.length / 2);
      return form.length > 76 ? [form.slice(0, half), form.slice(half)] : [];
    }),
    ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_')),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
    JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/'),
    text.replaceAll("'", "'\\''"),
    text.replace(/[^\w@%+=:,./-]/g, '\\$&'),
  ];
}

/** Looks for secrets, whatever their form. */
export class SecretSearch {
  private readonly formsOf = new Map<string, string[]>();

  /** @param secrets by name */
  constructor(secrets: Record<string, string> = {}) {
    this.add(secrets);
  }

  add(secrets: Record<string, string>): void {
    for (const [name, text] of Object.entries(secrets)) this.formsOf.set(name, forms(text));
  }

  /** Names of the secrets that a text has in it. */
  in(text: string): string[] {
    return [...this.formsOf]
      .filter(([, found]) => found.some((form) => text.includes(form)))
      .map(([name]) => name);
  }

  /** Files with a secret at or below any of the paths. */
  below(...paths: string[]): string[] {
    const { status, stdout, stderr } = spawnSync(
      'grep',
      [
        '--recursive',
        '--text',
        '--fixed-strings',
        '--files-with-matches',
        '--devices=skip',
        '--no-messages',
        '--file=-',
        ...paths,
      ],
      { input: [...this.formsOf.values()].flat().join('\n'), encoding: 'utf8', maxBuffer: 1e8 },
    );
    // 2: a file went while it was read.
    if (status === null || status > 2) throw new Error(stderr);
    return stdout.split('\n').filter(Boolean).sort();
  }

  /**
   * Watches arguments and environment of all processes in the cell, those of the lab's machines among them.
   *
   * @returns ends it, and gives what was found: the secret, and the arguments or the variable that had it
   */
  watch(): () => string[] {
    const found = new Set<string>();
    const known = new Map<string, string>();
    const look = () => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
          if (known.get(pid) === command) continue;
          known.set(pid, command);
          const program = command.replaceAll('\0', ' ').slice(0, 60);
          for (const secret of this.in(command)) found.add(`${secret} in arguments of ${program}`);
          for (const variable of readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')) {
            for (const secret of this.in(variable))
              found.add(`${secret} in ${variable.split('=')[0]} of ${program}`);
          }
        } catch {
          // It ended.
        }
      }
    };
    const timer = setInterval(look, 20);
    return () => {
      look();
      clearInterval(timer);
      return [...found].sort();
    };
  }
}
