/** Where a setting stands, e.g. `['domains', 0, 'name']`. */
export type Path = PropertyKey[];

/** A change of one setting: a value to set, a secret to set, or its removal. */
export type Change = { path: Path } & (
  | { value: string | number | boolean }
  /** A file that it is read from, as a user has it; none where it is typed. */
  | { secret: true; file?: string }
  | { remove: true }
);

/** One thing that is wrong with the settings. */
export interface Mistake {
  path: Path;
  /** The wrong value; never a secret, nor what may hold one. */
  value?: string | number | boolean;
  /** What is wrong with it, and what to do in words, e.g. `is out of range; set a whole number from 1 to 150 MB`. */
  problem: string;
  /** The change that ends it, where there is one. */
  remedy?: Change;
}

/** How settings are named, and changed, by those who set them. */
export interface FrontEnd {
  /** Name of the setting at a path. */
  name(path: Path): string;
  /** What to do to make a change, e.g. a command. */
  instruction(change: Change): string;
}

/** Settings as arguments of MailHost. */
export const argumentNames: FrontEnd = {
  name: pathText,
  instruction: (change) => {
    const name = pathText(change.path);
    if ('remove' in change) return `remove ${name}`;
    if ('value' in change) return `set ${name} to ${JSON.stringify(change.value)}`;
    return `set ${name} to ${change.file ? `the content of ${change.file}, as ` : ''}a secret`;
  },
};

/** Every mistake in a set of settings at once. */
export class SettingsError extends Error {
  constructor(readonly mistakes: Mistake[]) {
    super(report(mistakes, argumentNames));
    this.name = 'SettingsError';
  }
}

/** Mistakes as text, one line for each, after the number of settings that are wrong. */
export function report(mistakes: Mistake[], frontEnd: FrontEnd): string {
  const lines = mistakes.map(({ path, value, problem, remedy }) => {
    const shown = value === undefined ? '' : `: ${shortened(JSON.stringify(value))}`;
    const instruction = remedy ? `: ${frontEnd.instruction(remedy)}` : '';
    return `  ${frontEnd.name(path)}${shown} ${problem}${instruction}`;
  });
  const wrong = new Set(mistakes.map(({ path }) => pathText(path))).size;
  const settings = wrong === 1 ? '1 setting is invalid' : `${wrong} settings are invalid`;
  return `${settings}; nothing was changed:\n${lines.join('\n')}`;
}

const shortened = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** A path in the form of `pulumi config set --path`, e.g. `accounts[0].aliases`. */
export function pathText(path: Path): string {
  return path
    .map((part, i) =>
      typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
}

/** What stands at `path` in a structure; undefined where nothing does. */
export const valueAt = (input: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | null | undefined)?.[part],
    input,
  );
