import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Handlebars from 'handlebars';
import { packageRoot } from '../packageRoot';

/** One file on the host: its permission bits in octal (`"0640"`), `"user:group"`, and its text. */
export interface HostFile {
  mode: string;
  owner: string;
  text: string;
}

/** Files by their absolute path on the host. */
export type HostFiles = Record<string, HostFile>;

const root = join(packageRoot, 'files');

/**
 * The text of `files/<path>.hbs` with `values` filled in. A name that `values` lacks is an error, never an empty string.
 *
 * @param path the absolute path on the host, e.g. `/etc/smtpd.conf`
 */
export function renderTemplate(path: string, values: object): string {
  const source = readFileSync(join(root, `${path}.hbs`), 'utf8');
  return templates.compile(source, { strict: true, noEscape: true })(values);
}

const templates = Handlebars.create();
// In strict mode, too, Handlebars takes a condition that the values lack for false.
const decide = Handlebars.helpers.if as Handlebars.HelperDelegate;
templates.registerHelper('if', function (this: unknown, condition: unknown, options: unknown) {
  if (condition === undefined) throw new Error('the values lack the condition of an #if');
  return decide.call(this, condition, options) as unknown;
});

/** The text of `files/<path>`, taken as it is. */
export function readHostFile(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Names of what is in the folder `files/<path>`, in order. */
export const namesIn = (path: string): string[] => readdirSync(join(root, path)).sort();

/** A file that all may read and root alone may write, unless said otherwise. */
export const hostFile = (text: string, mode = '0644', owner = 'root:root'): HostFile => ({
  mode,
  owner,
  text,
});

/** The file that `files/<path>.hbs` gives with `values` filled in, at its path. */
export const filledFile = (path: string, values: object, mode?: string): HostFiles => ({
  [path]: hostFile(renderTemplate(path, values), mode),
});

/** `files/<path>` as it is, at its path. */
export const fileAsItIs = (path: string, mode?: string): HostFiles => ({
  [path]: hostFile(readHostFile(path), mode),
});

/** Drop-ins of a service: the restrictions of all, and behind them what is its own. */
export const serviceFiles = (unit: string): HostFiles => {
  const folder = `/etc/systemd/system/${unit}.service.d`;
  return {
    [`${folder}/hardening.conf`]: hostFile(readHostFile('/etc/systemd/system/hardening.conf')),
    ...fileAsItIs(`${folder}/mailhost.conf`),
  };
};

export const textOfLines = (lines: string[]): string => lines.map((line) => `${line}\n`).join('');
