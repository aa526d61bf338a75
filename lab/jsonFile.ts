import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** The value in a JSON file; `absent` if the file does not exist. */
export const readJson = <T>(path: string, absent: T): T =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : absent;

/** Replaces a JSON file in one step, so that no reader finds half of it. Only root can read it: it may hold keys. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
