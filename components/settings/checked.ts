import * as pulumi from '@pulumi/pulumi';
import { aboutOf, mapValues } from './fields';
import { isLater } from './forms';
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
  const settings = reported(frontEnd, () => parseSettings(input, found));
  return mapValues(settings, (value, field, path) => {
    const isSecret = aboutOf(field).secret;
    if (!isLater(value)) return isSecret ? pulumi.secret(value) : value;
    return (isSecret ? pulumi.secret(value) : value).apply((late: unknown) =>
      reported(frontEnd, () => parseLate(path, late)),
    );
  }) as Settings;
}

/**
 * The certificate and key that `tls` gives, each of which may be known only later.
 *
 * @throws pulumi.RunError in the output, where the certificate is not one for the host
 */
export const checkedPair = (
  { chain, privateKey }: Settings['tls'],
  hostName: string,
  frontEnd: FrontEnd,
): pulumi.Output<{ chainPem: string; privateKeyPem: string }> =>
  pulumi.all([chain, privateKey]).apply(([chainPem = '', privateKeyPem = '']) => {
    const mistakes = pairMistakes(chainPem, privateKeyPem, hostName);
    if (mistakes.length > 0) throw failure(mistakes, frontEnd);
    const line = (pem: string) => `${pem.trim()}\n`;
    return { chainPem: line(chainPem), privateKeyPem: line(privateKeyPem) };
  });

function reported<T>(frontEnd: FrontEnd, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof SettingsError ? failure(error.mistakes, frontEnd) : error;
  }
}

const failure = (mistakes: Mistake[], frontEnd: FrontEnd) =>
  new pulumi.RunError(report(mistakes, frontEnd));
