import { seconds } from '../duration';
import { at, placed, type Rule } from './draft';

export const compromisedKeysDoNotSign: Rule = function* (draft) {
  const compromised = placed(draft.dkimCompromised).map(({ value }) => value);
  const signing = [
    ...at(draft.dkimGeneration, 'dkimGeneration'),
    ...placed(draft.domains, 'domains').flatMap(({ path, value }) =>
      at(value.dkimGeneration, ...path, 'dkimGeneration'),
    ),
  ];
  for (const { path, value } of signing)
    if (compromised.includes(value))
      yield {
        path,
        value,
        problem: `is in dkimCompromised, and cannot sign; set another one. If it signs now, rotate with one \`pulumi up\` before you declare it compromised`,
      };
};

/** A message that is delivered late still carries a valid signature. */
export const signaturesOutlastTheQueue: Rule = function* ({ dkimRetention, queueLifetime }) {
  if (dkimRetention === undefined || queueLifetime === undefined) return;
  if (seconds(dkimRetention) >= seconds(queueLifetime)) return;
  const path = ['dkimRetention'];
  yield {
    path,
    value: dkimRetention,
    problem: `is less than queueLifetime, ${queueLifetime}: a late message would fail DKIM; raise it, or lower queueLifetime`,
    remedy: { path, value: queueLifetime },
  };
};
