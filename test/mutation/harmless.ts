/** Why mutants survive that no test has to notice: of a module, those whose change in a line, `old → new`, matches. */
export const harmless: { module: RegExp; change: RegExp; why: string }[] = [
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
