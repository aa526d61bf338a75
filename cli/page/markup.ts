import { createHash } from 'node:crypto';
import { visible } from '../../components/review/terminal';

/** Text that is HTML already. */
export class Html {
  constructor(readonly text: string) {}
}

export type Content = Html | string | number | false | undefined | Content[];

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function textOf(content: Content): string {
  if (content === undefined || content === false) return '';
  if (Array.isArray(content)) return content.map(textOf).join('');
  if (content instanceof Html) return content.text;
  return visible(String(content)).replaceAll(/[&<>"']/g, (character) => entities[character]!);
}

/** HTML in which everything that is filled in is escaped, unless it is HTML itself. */
export const markup = (literals: TemplateStringsArray, ...contents: Content[]): Html =>
  new Html(literals.map((literal, i) => literal + textOf(contents[i])).join(''));

/**
 * A page that loads nothing and runs nothing.
 *
 * @param css holds no user's text, so that the page can allow it by its hash
 * @param content header and main part
 */
export function page(title: string, css: string, content: Content): string {
  const hash = createHash('sha256').update(css).digest('base64');
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${new Html(hash)}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(css)}</style>
</head>
<body>
${content}
</body>
</html>
`.text;
}

export const idOf = (title: string) => title.toLowerCase().replaceAll(/\W+/g, '-');

/** A part of the page with its heading. */
export const part = (
  title: string,
  content: Content,
): Html => markup`<section aria-labelledby="${idOf(title)}">
<h2 id="${idOf(title)}">${title}</h2>
${content}</section>
`;

export function table(kind: string, columns: string[], rows: Content[][]): Html {
  const heads = columns.map((column) => markup`<th scope="col">${column}</th>`);
  const lines = rows.map((cells) => {
    const [first, ...rest] = cells;
    return markup`<tr><th scope="row">${first}</th>${rest.map((cell, i) => markup`<td data-label="${columns[i + 1]}">${cell}</td>`)}</tr>
`;
  });
  return markup`<table class="${kind}">
<thead><tr>${heads}</tr></thead>
<tbody>
${lines}</tbody>
</table>
`;
}
