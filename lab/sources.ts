import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The checkout that the lab is of. Where `bundle` has made one file of a program, it is known from then. */
export const project = process.env.MAILHOST_PROJECT ?? join(__dirname, '..');

/** Paths of all files in a folder and below it, relative to `root`, in order; what npm installs and prose left out. */
export const filesBelow = (root: string, folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !/(^|\/)(node_modules|__pycache__|\.ruff_cache|\.mypy_cache)\//.test(path))
    .sort();

/** A hash of the names and contents of files, in hexadecimal digits. */
export function hashOf(root: string, paths: string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
