import { Html, markup } from '../page/markup';
import { amount } from './words';

/** The parts of D3 that draw. They are loaded when they are used: no other command needs them. */
export type Tools = Pick<typeof import('d3-scale'), 'scaleLinear' | 'scaleUtc'> &
  Pick<typeof import('d3-shape'), 'area' | 'curveStepAfter' | 'line'>;

export async function loadTools(): Promise<Tools> {
  const [{ scaleLinear, scaleUtc }, { area, curveStepAfter, line }] = await Promise.all([
    import('d3-scale'),
    import('d3-shape'),
  ]);
  return { scaleLinear, scaleUtc, area, curveStepAfter, line };
}

/** A line, or a layer of a stack. */
export interface Layer {
  name: string;
  numbers: number[];
}

export interface Chart {
  title: string;
  /** Seconds since 1970. */
  begin: number;
  /** Seconds from one number to the next. */
  step: number;
  layers: Layer[];
  kind: 'stack' | 'lines';
  /** Whether a line has a gap at 0: nothing was measured. Default: no. */
  hasGaps?: true;
  /** A number with its unit. Default: as a count. */
  format?: (value: number) => string;
}

/** Pixels of the two forms: one is shown, depending on the width of the window. */
const forms = [
  { name: 'wide', width: 640, height: 200, ticks: 7 },
  { name: 'narrow', width: 340, height: 180, ticks: 3 },
] as const;
const margin = { top: 8, right: 8, bottom: 22, left: 54 };

/** A figure with title, legend, plot, and the same as a table. */
export function chartFigure(tools: Tools, chart: Chart): Html {
  const { title, layers } = chart;
  if (!layers.some(({ numbers }) => numbers.some((number) => number > 0)))
    return markup`<figure class="chart"><figcaption>${title}</figcaption><p class="faint">Nothing was counted.</p></figure>
`;
  return markup`<figure class="chart">
<figcaption>${title}</figcaption>
<ul class="legend">${layers.map(({ name }, i) => markup`<li><span class="key s${i}"></span>${name}</li>`)}</ul>
${forms.map((form) => plot(tools, chart, form))}${numbersTable(chart)}</figure>
`;
}

function plot(tools: Tools, chart: Chart, form: (typeof forms)[number]): Html {
  const { begin, step, layers, kind, title, format = amount, hasGaps } = chart;
  const count = layers[0]!.numbers.length;
  const bounds = layers.map(() => [] as [number, number][]);
  for (let at = 0; at < count; at++) {
    let sum = 0;
    layers.forEach(({ numbers }, i) => {
      const low = kind === 'stack' ? sum : 0;
      sum = low + numbers[at]!;
      bounds[i]!.push([low, sum]);
    });
  }
  const most = Math.max(...bounds.flat().map(([, high]) => high));
  const x = tools
    .scaleUtc()
    .domain([new Date(begin * 1000), new Date((begin + count * step) * 1000)])
    .range([margin.left, form.width - margin.right]);
  const y = tools
    .scaleLinear()
    .domain([0, most])
    .nice(4)
    .range([form.height - margin.bottom, margin.top]);
  const place = (at: number) => x(new Date((begin + at * step) * 1000));
  // A step ends where the next begins.
  const closed = (points: [number, number][]) => [...points, points.at(-1)!];
  const shapes = bounds.map((points, i) => {
    const path =
      kind === 'stack'
        ? tools
            .area<[number, number]>()
            .curve(tools.curveStepAfter)
            .digits(0)
            .x((_, at) => place(at))
            .y0(([low]) => y(low))
            .y1(([, high]) => y(high))(closed(points))
        : tools
            .line<[number, number]>()
            .digits(0)
            .defined(([, high]) => !hasGaps || high > 0)
            .x((_, at) => place(at + 0.5))
            .y(([, high]) => y(high))(points);
    return markup`<path class="${kind} s${i}" d="${new Html(path ?? '')}"/>`;
  });
  const timeText = x.tickFormat(form.ticks);
  const label = `${title}: ${layers.map(({ name, numbers }) => `${name} at most ${format(Math.max(...numbers))}`).join(', ')}`;
  return markup`<svg class="${form.name}" viewBox="0 0 ${form.width} ${form.height}" role="img" aria-label="${label}">
${y.ticks(4).map((tick) => markup`<line class="grid" x1="${margin.left}" x2="${form.width - margin.right}" y1="${y(tick)}" y2="${y(tick)}"/><text class="left" x="${margin.left - 6}" y="${y(tick) + 4}">${format(tick)}</text>`)}
${x.ticks(form.ticks).map((tick) => markup`<text x="${Math.round(x(tick))}" y="${form.height - 6}">${timeText(tick)}</text>`)}
${shapes}
</svg>
`;
}

/** For readers of tables, and to copy from: months of days, days of hours. */
function numbersTable({ begin, step, layers, kind, format = amount }: Chart): Html {
  const length = step < 86400 ? 10 : 7;
  const spans = new Map<string, number[]>();
  layers[0]!.numbers.forEach((_, at) => {
    const name = new Date((begin + at * step) * 1000).toISOString().slice(0, length);
    const known = spans.get(name) ?? layers.map(() => 0);
    spans.set(
      name,
      known.map((value, i) => {
        const number = layers[i]!.numbers[at]!;
        return kind === 'stack' ? value + number : Math.max(value, number);
      }),
    );
  });
  return markup`<details><summary>Numbers</summary>
<table class="numbers">
<thead><tr><th scope="col">${step < 86400 ? 'Day' : 'Month'}${kind === 'lines' && ', highest'}</th>${layers.map(({ name }) => markup`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>
${[...spans].map(
  ([name, values]) =>
    markup`<tr><th scope="row">${name}</th>${values.map((value) => markup`<td>${format(value)}</td>`)}</tr>
`,
)}</tbody>
</table>
</details>
`;
}
