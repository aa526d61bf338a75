/** Of every page, in both colour schemes. */
export const baseCss = `
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
a { color: var(--link); }
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
tbody th { font-weight: 600; }
.message { margin: .5rem 0; padding: .75rem; border-left: 4px solid currentColor; background: var(--box);
  white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 ui-monospace, monospace; }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .list tr, .list td, .list tbody th { display: block; border: 0; padding: .1rem 0; }
  .list td:empty { display: none; }
  .list td::before { content: attr(data-label) ': '; color: var(--faint); }
  .list tr { border-bottom: 1px solid var(--border); padding: .5rem 0; }
}
`;
