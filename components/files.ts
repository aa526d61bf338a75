import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Handlebars from 'handlebars';

/** One file on the host: its permission bits in octal (`"0640"`), `"user:group"`, and its text. */
export interface HostFile {
  mode: string;
  owner: string;
  text: string;
}

/** Files by their absolute path on the host. */
export type HostFiles = Record<string, HostFile>;

const root = join(__dirname, '..', 'files');

/**
 * The text of `files/<path>.hbs` with `values` filled in. A name that `values` lacks is an error, never an empty string.
 *
 * @param path the absolute path on the host, e.g. `/etc/smtpd.conf`
 */
export function renderTemplate(path: string, values: object): string {
  const source = readFileSync(join(root, `${path}.hbs`), 'utf8');
  return Handlebars.compile(source, { strict: true, noEscape: true })(values);
}

/** The text of `files/<path>`, taken as it is. */
export function readHostFile(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
