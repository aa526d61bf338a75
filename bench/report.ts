import type { Figure, Goal } from './frame';

/** What the parts measured, by their names. */
export type Results = Record<
  string,
  { title: string; method: string; machine: string; date: string; figures: Figure[] }
>;

export function markdown(results: Results): string {
  const sections = Object.entries(results).map(
    ([name, { title, method, machine, date, figures }]) => `## ${title}

${method}

${machine}; ${date}.
${plotOf(name, figures) === undefined ? '' : `\n![${title}](${name}.svg)\n`}
| Figure | Median | From … to | Runs | Goal | |
| --- | --: | --: | --: | --: | --- |
${figures.map(row).join('\n')}
`,
  );
  return `# Speed and scale

Made by \`make bench\` from \`results.json\`. Ratios are the result, absolute numbers are context: they are of the lab, in which
packages come from a cache beside the machine, and a bare machine boots in seconds.

${sections.join('\n')}`;
}

function row({ name, value, unit, spread, goal }: Figure): string {
  const suffix = unit === 'ratio' || unit === '' ? '' : ` ${unit}`;
  const cells = [
    name,
    `${number(value)}${suffix}`,
    `${number(spread.min)} … ${number(spread.max)}`,
    String(spread.runs),
    goal ? goalText(goal) : '',
    goal ? (isMet(value, goal) ? 'met' : '**missed**') : '',
  ];
  return `| ${cells.join(' | ')} |`;
}

const goalText = (goal: Goal) => ('most' in goal ? `≤ ${goal.most}` : `≥ ${goal.least}`);

const isMet = (value: number, goal: Goal) =>
  'most' in goal ? value <= goal.most : value >= goal.least;

/** Three digits that count. */
const number = (value: number) =>
  Number.isInteger(value) ? String(value) : value >= 100 ? value.toFixed(0) : value.toPrecision(3);

/** The plots by their file names. */
export const plots = (results: Results): Record<string, string> =>
  Object.fromEntries(
    Object.entries(results).flatMap(([name, { figures }]) => {
      const svg = plotOf(name, figures);
      return svg === undefined ? [] : [[`${name}.svg`, svg]];
    }),
  );

function plotOf(name: string, figures: Figure[]): string | undefined {
  if (name === 'field') return bars(figures.filter(({ unit }) => unit === 's'));
  if (name === 'scale') return lines(figures);
  return undefined;
}

const text = (x: number, y: number, words: string, more = '') =>
  `<text x="${x}" y="${y}" ${more}>${words}</text>`;

const svg = (width: number, height: number, shapes: string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${shapes.join('\n')}
</svg>
`;

/** One bar a figure, as long as its median, with a line from the least to the most; grouped by what was measured. */
function bars(figures: Figure[]): string {
  const [left, width, step] = [270, 420, 22];
  const groups = new Map<string, Figure[]>();
  for (const one of figures) {
    const group = one.name.split(': ')[0]!;
    groups.set(group, [...(groups.get(group) ?? []), one]);
  }
  const shapes: string[] = [];
  let y = 10;
  for (const [group, of] of groups) {
    const scale = width / Math.max(...of.map(({ spread }) => spread.max));
    shapes.push(text(10, y + 14, group, 'font-weight="bold"'));
    y += step;
    for (const { name, value, spread } of of) {
      const label = name.split(': ')[1]!;
      const middle = y + step / 2;
      const [from, to] = [spread.min, spread.max].map((v) => left + v * scale);
      shapes.push(
        text(left - 8, y + 15, label, 'text-anchor="end"'),
        `<rect x="${left}" y="${y + 4}" width="${value * scale}" height="${step - 8}" fill="${label === 'ours' ? '#2a6f97' : '#a9c3d1'}"/>`,
        `<line x1="${from}" x2="${to}" y1="${middle}" y2="${middle}" stroke="black"/>`,
        text(to! + 8, y + 15, `${number(value)} s`),
      );
      y += step;
    }
    y += step / 2;
  }
  return svg(left + width + 90, y, shapes);
}

/** Seconds over the number of domains, with a line through what was measured. */
function lines(figures: Figure[]): string {
  const [left, top, width, height] = [50, 20, 480, 260];
  const series = ['first preview', 'nothing changed', 'nothing changed, engine only'].map(
    (what) => ({
      what,
      points: figures.flatMap(({ name, value }) => {
        const size = new RegExp(`^${what}: (\\d+) domains?$`).exec(name)?.[1];
        return size === undefined ? [] : [{ x: Number(size), y: value }];
      }),
    }),
  );
  const all = series.flatMap(({ points }) => points);
  const [mostX, mostY] = [Math.max(...all.map(({ x }) => x)), Math.max(...all.map(({ y }) => y))];
  const at = ({ x, y }: { x: number; y: number }) =>
    [left + (x / mostX) * width, top + height - (y / mostY) * height] as const;
  const colours = ['#2a6f97', '#e07a1f', '#888888'];
  const shapes = series.flatMap(({ what, points }, i) => {
    const [x, y] = at(points.at(-1)!);
    const places = points.map((point) => at(point));
    return [
      `<polyline points="${places.map((place) => place.join()).join(' ')}" fill="none" stroke="${colours[i]}"/>`,
      ...places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colours[i]}"/>`),
      text(x + 8, y + 4, `${what}: ${number(points.at(-1)!.y)} s`, `fill="${colours[i]}"`),
    ];
  });
  const axes = `<path d="M${left},${top}V${top + height}H${left + width}" fill="none" stroke="black"/>`;
  const marks = [...new Set(all.map(({ x }) => x))].map((x) =>
    text(at({ x, y: 0 })[0], top + height + 16, String(x), 'text-anchor="middle"'),
  );
  return svg(left + width + 250, top + height + 40, [
    axes,
    ...marks,
    text(left + width / 2, top + height + 34, 'domains', 'text-anchor="middle"'),
    ...shapes,
  ]);
}
