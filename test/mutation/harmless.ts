/** Why mutants survive that no test has to notice: of a module, those whose change in a line, `old → new`, matches. */
export const harmless: { module: RegExp; change: RegExp; why: string }[] = [
  // ---- the package ----
  {
    module: /dns\/dkimKeys\.ts$/,
    change: /^signs !== undefined → true$|^\[\] → \["Stryker was here"\]$/,
    why: 'No list of generations holds undefined or a text',
  },
  {
    module: /dns\/dkimKeys\.ts$/,
    change: /^wanted <= highest → wanted < highest$|^wanted < signs → wanted <= signs$/,
    why: 'The two are equal in no call that comes so far',
  },
  {
    module: /dns\/recordForms\.ts$/,
    change: /^record\.type === 'CNAME' \|\| record\.type === 'SRV' → true$/,
    why: 'No content of another type ends in a dot',
  },
  {
    module: /dns\/spf\.ts$/,
    change: /^'' → "Stryker was here!"$|^\[\] → \["Stryker was here"\]$|\.slice\(1\)|^record → /,
    why: 'What stands there instead is no mechanism either, or is never looked at',
  },
  {
    module: /dns\/spf\.ts$/,
    change: /ip\[46\]|^\/\^\(\[\^\/\]\+\?\)|\(\?:include:\|redirect=\)/,
    why: 'What the other pattern takes, too, is refused by the next one',
  },
  {
    module: /settings\/names\.ts$/,
    change: /toUpperCase\(\)$/,
    why: 'domainToASCII() gives lower case',
  },
  {
    module: /settings\/names\.ts$/,
    change: /^'@' → ""$/,
    why: 'Without an @ the local part is empty, and no address has such',
  },
  {
    module: /settings\/forms\.ts$/,
    change: /^(?:type|base64) === undefined|\["Stryker was here"\]$/,
    why: 'Type and key are both there, or neither is',
  },
  {
    module: /settings\/certificates\.ts$/,
    change: /^disorder > 0 → disorder >= 0$|^(?:leaf|last) === undefined/,
    why: 'The first of a chain is out of order with nothing, and is there where the last is',
  },
  {
    module: /settings\/certificates\.ts$/,
    change: /^\[\] → \["Stryker was here"\]$/,
    why: 'A text without certificates is refused before',
  },
  {
    module: /preflight\/changes\.ts$/,
    change: /^(?:since|before\.volumeSize) [!=]== undefined → |^'enforce' → ""$/,
    why: 'Comparisons with what is not there are false, and only `none` has a time of its own',
  },
  {
    module: /preflight\/lookUps\.ts$/,
    change: /^\/(?:Error code|\\s\+\/ |\^\[\\s\\S\]\*\?)/,
    why: 'The other pattern matches the same: all to the end, runs of spaces, the first from the start',
  },
  {
    module: /preflight\/lookUps\.ts$/,
    change: /^about === '' → false$|^'' → "Stryker was here!"$/,
    why: 'An empty text stands nowhere in a message that would change its kind',
  },

  // ---- the host program ----
  {
    module: /transaction\.py$/,
    change: /unlink\(missing_ok/,
    why: 'The file is there: it was found a moment before',
  },
  {
    module: /transaction\.py$/,
    change: /poll\.(?:register|poll)/,
    why: 'poll(2) reports hang-ups and errors whatever it is asked for, and nothing else where it is asked for nothing',
  },
  { module: /transaction\.py$/, change: /os\.mknod/, why: 'Device 0 is the default' },
  { module: /transaction\.py$/, change: /STATE \/ "backup"/, why: 'Any name of the folder does' },
  {
    module: /transaction\.py$/,
    change: /os\.link/,
    why: 'link(2) of Linux follows no symbolic link',
  },
  {
    module: /dkim\.py$/,
    change: /get\("(?:longest|keep)", 0\)|return \{\}, \{\}, 0|return 0, None/,
    why: 'A second of 1970, or of a retention, is as long ago, or as short, as none',
  },
  {
    module: /dkim\.py$/,
    change: /entry\.get\("retention", retention\)/,
    why: 'check() has noted a retention for every key that signs',
  },
  {
    module: /dkim\.py$/,
    change: /evidence\.get\((?:domain|d), \{\}\)/,
    why: 'note_keys() has made an entry for each key before',
  },
  { module: /dkim\.py$/, change: /"ascii"/, why: 'Names of codecs have no letter case' },
];
