import * as pulumi from '@pulumi/pulumi';
import { aboutOf, mapValues } from './fields';
import { isLater } from './forms';
import type { Credential } from './mailSettings';
import { argumentNames, report, SettingsError, type FrontEnd, type Mistake } from './mistakes';
import { parseLate, parseSettings } from './parse';
import { pairMistakes } from './rules/certificates';
import type { Settings } from './settings';

/**
 * As parseSettings(), with each secret as a secret output. What is known only later is checked as soon as it is.
 *
 * @param frontEnd of whoever reads the mistakes
 * @throws pulumi.RunError, shown without a stack trace, with every mistake
 */
export function checkedSettings(
  input: unknown,
  frontEnd: FrontEnd = argumentNames,
  found: Mistake[] = [],
): Settings {
  const reported = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw error instanceof SettingsError
        ? new pulumi.RunError(report(error.mistakes, frontEnd))
        : error;
    }
  };
  const plain = reported(() => parseSettings(input, found));
  const settings = mapValues(plain, (value, field, path) => {
    const isSecret = aboutOf(field).secret;
    if (!isLater(value)) return isSecret ? pulumi.secret(value) : value;
    return (isSecret ? pulumi.secret(value) : value).apply((late: unknown) =>
      reported(() => parseLate(path, late)),
    );
  }) as Settings;
  const { tls, hostName } = settings;
  if (tls.issuer !== 'provided') return settings;
  const chain = pulumi.all([tls.chain, tls.privateKey]).apply(([pem = '', key = '']) =>
    reported(() => {
      const mistakes = pairMistakes(pem, key, hostName);
      if (mistakes.length > 0) throw new SettingsError(mistakes);
      return pem;
    }),
  );
  return { ...settings, tls: { ...tls, chain } };
}

/** The accounts with their hashes; secret. */
export const credentialsOf = ({ accounts }: Settings): pulumi.Output<Credential[]> =>
  pulumi
    .output(accounts)
    .apply((known) => known.map(({ address, passwordHash }) => ({ address, passwordHash })));

/** The certificate that somebody else issued, with its key; secret. */
export const pairOf = ({
  tls: { chain, privateKey },
}: Settings): pulumi.Output<{ chainPem: string; privateKeyPem: string }> => {
  const line = (pem = '') => `${pem.trim()}\n`;
  return pulumi
    .all([chain, privateKey])
    .apply(([given, key]) => ({ chainPem: line(given), privateKeyPem: line(key) }));
};
