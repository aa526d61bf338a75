import { styleText } from 'node:util';

export type Style = Extract<Parameters<typeof styleText>[0], string>;

/** Whether standard output is a terminal with colours, and the user wants them. */
export const hasColours = (): boolean => styleText('red', 'x', { stream: process.stdout }) !== 'x';

/** What writes a text in a style, or as it is without colours. */
export const painter =
  (isColoured: boolean) =>
  (style: Style, text: string): string =>
    isColoured ? styleText(style, text, { validateStream: false }) : text;

export const plural = (count: number, what: string, many = `${what}s`): string =>
  `${count} ${count === 1 ? what : many}`;

/** The first of them, and how many more there are. */
export const some = (names: string[]): string =>
  names.length > 5
    ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`
    : names.join(', ');

/**
 * Text as a reader sees it: control characters, which could rewrite a terminal, and characters that reverse or hide text
 * are shown by their numbers.
 */
export const visible = (text: string): string =>
  text.replaceAll(
    /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `<U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}>`,
  );

/** The same of a name, which has no second line. */
export const visibleName = (text: string): string => visible(text).replaceAll('\n', '<U+000A>');
