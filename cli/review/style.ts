/** Of the page. It holds no user's text, so that the page can allow it by its hash. */
export const css = `
:root {
  color-scheme: light dark;
  --text: #1f2328; --faint: #59636e; --page: #ffffff; --box: #f6f8fa; --border: #d1d9e0;
  --removed: #ffebe9; --added: #dafbe1; --link: #0969da;
  --blocked: #b42318; --risky: #8a5300; --harmless: #1a7f37;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6edf3; --faint: #9198a1; --page: #0d1117; --box: #161b22; --border: #3d444d;
    --removed: #4b1f22; --added: #12371f; --link: #58a6ff;
    --blocked: #ff9289; --risky: #e3b341; --harmless: #56d364;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 82rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
header p { margin: 0; color: var(--faint); }
h1 { margin: .25rem 0; font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
figure { margin: 0; }
figcaption { font: 600 .85rem/1.4 ui-monospace, monospace; margin: .75rem 0 .25rem; overflow-wrap: anywhere; }
a { color: var(--link); }
summary { cursor: pointer; margin: 2rem 0 .5rem; }
summary h2 { display: inline; }
.faint, .time { color: var(--faint); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.mark { display: inline-block; padding: 0 .5em; border: 1px solid currentColor; border-radius: 1em; font-size: .85em; font-weight: 600; white-space: nowrap; }
.blocked { color: var(--blocked); }
.risky { color: var(--risky); }
.harmless { color: var(--harmless); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .3rem .5rem; text-align: left; vertical-align: top; overflow-wrap: break-word; }
.list th, .list td { border-bottom: 1px solid var(--border); }
thead th { color: var(--faint); font-weight: 600; font-size: .85rem; }
.records th[scope=row], .records ins, .records del { font: .85rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
ins, del { text-decoration: none; }
ins { background: var(--added); }
del { background: var(--removed); }
tbody th { font-weight: 600; }
.message { margin: .5rem 0; padding: .75rem; border-left: 4px solid currentColor; background: var(--box);
  white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 ui-monospace, monospace; }
.timeline { margin: 0; padding: 0; list-style: none; border-left: 2px solid var(--border); }
.timeline li { position: relative; padding: .15rem 0 .15rem 1.25rem; }
.timeline li::before { content: ''; position: absolute; left: -6px; top: .65rem; width: 10px; height: 10px;
  border-radius: 50%; background: var(--link); }
.timeline .time { display: inline-block; min-width: 9.5rem; }
.diff { table-layout: fixed; border: 1px solid var(--border); margin-bottom: .5rem; font: .8rem/1.5 ui-monospace, monospace; }
.diff th, .diff td { padding: 0 .5rem; }
.diff td { white-space: pre-wrap; overflow-wrap: anywhere; }
.diff th { background: var(--box); font: 600 .75rem/1.8 system-ui, sans-serif; }
.diff .numbers { width: 3.5rem; }
.diff .number { text-align: right; color: var(--faint); user-select: none; }
.diff .none, .diff .number:empty { background: var(--box); }
.records th[scope=row] { min-width: 14rem; }
td.removed { background: var(--removed); }
td.added { background: var(--added); }
.sign { user-select: none; display: inline-block; width: 1.2em; color: var(--faint); }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .list tr, .list td, .list tbody th { display: block; border: 0; padding: .1rem 0; }
  .list td:empty { display: none; }
  .list td::before { content: attr(data-label) ': '; color: var(--faint); }
  .list tr { border-bottom: 1px solid var(--border); padding: .5rem 0; }
  .timeline .time { display: block; }
  .diff, .diff tbody { display: block; }
  .diff colgroup { display: none; }
  .diff tr { display: grid; grid-template-columns: 2.75rem 1fr; }
  .diff .same td:nth-child(-n+2), .diff .none, .diff .number:empty { display: none; }
}
`;
