import * as pulumi from '@pulumi/pulumi';
import { publicKeyHash } from './dns/dnsRecords';

/** Why a key that others go by is not made anew. */
export const anewMistake = (what: string): string =>
  `${what} would be made anew, and others would still go by the one before: mail signed or served with the new key fails their checks. Rotate by the settings instead of replacing keys (docs/operating.md)`;

/**
 * The public half of a key that is in DNS under a name of its own, which never gets another one.
 *
 * @param what it is, for a person
 * @param before its publicKeyHash(), where the stack has had the key before
 * @returns `pem`
 * @throws pulumi.RunError where the key was made anew, so that no record of that is published
 */
export function publishedKey(what: string, pem: string, before: string | undefined): string {
  if (before === undefined || publicKeyHash(pem) === before) return pem;
  throw new pulumi.RunError(
    `${what} was made anew, and others would still go by the one before: nothing is published. Import the state from before this \`pulumi up\`, and rotate by the settings instead of replacing keys`,
  );
}
