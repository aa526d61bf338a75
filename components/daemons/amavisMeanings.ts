import { timeInWords, valueMeaning, type Meaning } from './meaning';

const path = '/etc/amavis/conf.d/60-mailhost';

/** What another text of amavis's own file means to people. */
export const amavisMeanings: Meaning[] = [
  valueMeaning(
    path,
    /^\$sa_tag2_level_deflt = (\S+);$/m,
    (before, after) =>
      `marks mail as spam in its headers from a score of ${after} instead of ${before}`,
  ),
  valueMeaning(
    path,
    /^\$sa_kill_level_deflt = (\S+);$/m,
    (before, after) => `treats mail as junk from a score of ${after} instead of ${before}`,
  ),
  valueMeaning(
    path,
    /from the third on it is (.+)\.$/m,
    (before, after) => `junk is ${after} instead of ${before}`,
  ),
  valueMeaning(path, /^\$virus_quarantine_to = (\S+);$/m, (_before, after) =>
    after === 'undef'
      ? 'mail with a virus is dropped instead of held'
      : 'mail with a virus is held instead of dropped',
  ),
  valueMeaning(
    path,
    /\bttl => (\d+)/,
    (before, after) =>
      `DKIM signatures are valid for ${timeInWords(Number(after))} instead of ${timeInWords(Number(before))}`,
  ),
];
