import * as pulumi from '@pulumi/pulumi';
import { aboutOf, mapValues } from './fields';
import { isLater } from './forms';
import type { Credential } from './mailSettings';
import {
  argumentNames,
  report,
  SettingsError,
  type FrontEnd,
  type Mistake,
  type Path,
} from './mistakes';
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
  // Their places in the input, which the lists of settings have in another order.
  const places = new Map<unknown, Path>();
  const placed = mapValues(input, (value, _field, path) => {
    if (!isLater(value)) return value;
    const late = pulumi.output(value);
    places.set(late, path);
    return late;
  });
  const plain = reported(() => parseSettings(placed, found));
  const settings = mapValues(plain, (value, field) => {
    const path = places.get(value);
    const shown = aboutOf(field).secret ? pulumi.secret(value) : value;
    return path === undefined
      ? shown
      : (shown as pulumi.Output<unknown>).apply((late) =>
          reported(() => parseLate(path, late, input)),
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

/** What other resources may give, for the daemons' files. */
export const givenOf = ({ adminNetworks, smarthost, backup }: Settings) => ({
  // It may name one twice that was known only later.
  adminNetworks: pulumi.all(adminNetworks).apply((all) => [...new Set(all)].sort()),
  smarthost: smarthost && pulumi.output({ host: smarthost.host, port: smarthost.port }),
  repository: backup && pulumi.output({ url: backup.repository, hostKey: backup.hostKey }),
});

/** User name and password at the smarthost; secret. */
export const smarthostLoginOf = ({ smarthost }: Settings): pulumi.Output<string> | undefined =>
  smarthost && pulumi.secret(pulumi.interpolate`${smarthost.username}:${smarthost.password}`);

/** The certificate that somebody else issued, with its key; secret. */
export const pairOf = ({
  tls: { chain, privateKey },
}: Settings): pulumi.Output<{ chainPem: string; privateKeyPem: string }> => {
  const line = (pem = '') => `${pem.trim()}\n`;
  return pulumi
    .all([chain, privateKey])
    .apply(([given, key]) => ({ chainPem: line(given), privateKeyPem: line(key) }));
};
