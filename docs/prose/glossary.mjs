/**
 * Terms that plain technical English avoids, with what to write instead. A space stands for any white space. Only prose is
 * checked: code, inline code and names in code keep their words.
 */
export const glossary = [
  // Conditions and actors
  [
    /(?:^|(?<=[.:;] ))Where (?:a|an|the|it|that|there|no|one|what|not|more|several|all)\b/,
    'if, when',
  ],
  [/(?:^|(?<=[.:;] ))Who(?:ever)? (?!.*\?)/, 'clients that …, an operator who …'],
  [
    /\b(?:nobody|somebody)\b/i,
    'a noun: no client, an attacker, the operator; or "cannot", "does not"',
  ],
  [
    /\b(?<!(?:the|all|and|no|two|of|each|these|has|have) )others\b(?! of)/i,
    'other systems, other clients',
  ],
  [/\bbut for\b/, 'except, except for'],
  [/\botherwise than\b/, 'different from, unlike'],
  // What programs do
  [/\b(?:tells?|told)\b(?! apart)/, 'report, print, show, notify; "is … of" for lists'],
  [/\b(?:says|said)\b/, 'shows, reports, states, describes'],
  [/\blook(?:s|ed|ing)? (?:at|for|whether|again|which)\b/, 'inspect, check, search for'],
  [/\basks\b(?! for)|\bis asked\b(?! for)/, 'queries, requests, prompts'],
  [/\bspeaks? to\b/, 'connects to'],
  [/\bgoes? by\b/, 'uses, relies on'],
  [/\bgoes? round\b/, 'loops'],
  // States and changes
  [/(?<![Tt]here )\b(?:is|are) no (?!longer|more|less)\w+/, 'is not a …, invalid'],
  [/(?<![Tt]here )\bis none\b/, 'is not one'],
  [/\bthat (?:is|are) no more\b/, 'deleted'],
  [/\bmend(?:s|ed|ing)?\b/, 'repair, correct'],
  [/\bputs? (?:\w+ )?right\b/, 'repair, converge'],
  [
    /\bput(?:s|ting)? .{0,30}\bin force\b|\b(?:is|are) in force\b/,
    'activate, deploy; active, current',
  ],
  [/\bputs? (?:\w+ ){0,4}back\b/, 'restore, roll back'],
  [/\b(?:makes?|made|making) anew\b/, 'recreate, replace'],
  [/\b(?:takes?|taking) the place of\b|\bin the place of\b/, 'replace, instead of'],
  [/\bgo(?:es|ing)? back\b/, 'roll back, return, is returned'],
  [/\bhalf-way\b|\bunended\b|\bcut off\b/, 'interrupted, in progress'],
  [/\bshuts? (?:\w+ )?out\b/, 'ban, lock out'],
  [/\bstands? in the way\b/, 'conflicts with'],
  [/\bbring(?:s|ing)? .{0,20}\bback\b/, 'restore'],
  // Nouns of the field
  [/\btruth\b/, 'boolean'],
  [/\bprocessor time\b/, 'CPU time'],
  [/\bill-treat/, 'fault injection'],
  [/\bhow long it takes\b/, 'latency, duration'],
];
