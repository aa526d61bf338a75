import { baseCss } from '../page/style';

/** Of the review's page. */
export const css = `${baseCss}
figure { margin: 0; }
figcaption { font: 600 .85rem/1.4 ui-monospace, monospace; margin: .75rem 0 .25rem; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: 2rem 0 .5rem; }
summary h2 { display: inline; }
.records th[scope=row], .values th[scope=row], ins, del { font: .85rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
ins, del { text-decoration: none; }
ins { background: var(--added); }
del { background: var(--removed); }
.timeline { margin: 0; padding: 0; list-style: none; border-left: 2px solid var(--border); }
.timeline li { position: relative; display: grid; grid-template-columns: 9.5rem 1fr; column-gap: 1rem; padding: .15rem 0 .15rem 1.25rem; }
.timeline li::before { content: ''; position: absolute; left: -6px; top: .65rem; width: 10px; height: 10px;
  border-radius: 50%; background: var(--link); }
.diff { table-layout: fixed; border: 1px solid var(--border); margin-bottom: .5rem; font: .8rem/1.5 ui-monospace, monospace; }
.diff th, .diff td { padding: 0 .5rem; }
.diff td { white-space: pre-wrap; overflow-wrap: anywhere; }
.diff th { background: var(--box); font: 600 .75rem/1.8 system-ui, sans-serif; }
.diff .numbers { width: 3.5rem; }
.diff .number { text-align: right; color: var(--faint); user-select: none; }
.diff .none, .diff .number:empty { background: var(--box); }
.values { table-layout: fixed; margin-bottom: .5rem; }
td.removed { background: var(--removed); }
td.added { background: var(--added); }
.sign { user-select: none; display: inline-block; width: 1.2em; color: var(--faint); }
@media (min-width: 64rem) {
  .records th[scope=row], .records td:last-child { min-width: 18rem; }
}
@media (max-width: 40rem) {
  .timeline li { display: block; }
  .timeline .time { display: block; }
  .diff, .diff tbody { display: block; }
  .diff colgroup { display: none; }
  .diff tr { display: grid; grid-template-columns: 2.75rem 1fr; }
  .diff .same td:nth-child(-n+2), .diff .none, .diff .number:empty { display: none; }
}
`;
