import { baseCss } from '../page/style';

/** Of the report's page. */
export const css = `${baseCss}
:root { --s0: #2f6fdf; --s1: #d97706; --s2: #c2255c; --s3: #0f8a6c; --s4: #7b4fc9; }
@media (prefers-color-scheme: dark) {
  :root { --s0: #6ea8fe; --s1: #f5a742; --s2: #f06595; --s3: #38c9a0; --s4: #b197fc; }
}
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem; margin-bottom: 1rem; }
.chart { margin: 0; min-width: 0; }
figcaption { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0; padding: 0; list-style: none; font-size: .85rem; color: var(--faint); }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; background: currentColor; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); } .s3 { color: var(--s3); } .s4 { color: var(--s4); }
svg { display: block; width: 100%; height: auto; }
svg.narrow { display: none; }
svg text { fill: var(--faint); font: 11px system-ui, sans-serif; text-anchor: middle; }
svg text.left { text-anchor: end; }
.grid { stroke: var(--border); stroke-width: 1; }
path.stack { fill: currentColor; }
path.lines { fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linejoin: round; }
summary { cursor: pointer; color: var(--faint); font-size: .85rem; }
.numbers { font-size: .85rem; font-variant-numeric: tabular-nums; }
.numbers th, .numbers td { padding: .1rem .5rem; }
@media (max-width: 40rem) {
  svg.narrow { display: block; }
  svg.wide { display: none; }
}
`;
