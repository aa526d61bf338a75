import { isIPv4 } from 'node:net';
import { domainToASCII } from 'node:url';
import { refuse } from './errors';

/** A name in A-labels, also where it is not a host name. */
export const ascii = (name: string): string =>
  name
    .toLowerCase()
    .split('.')
    .map((label) => (/[^\0-\x7f]/.test(label) ? domainToASCII(label) : label))
    .join('.');

/** The full name of a record. A name outside the zone is relative to it, as `@` is. */
export function fullName(name: string, zone: string): string {
  const lower = ascii(name).replace(/\.$/, '');
  const full =
    lower === '@' || lower === ''
      ? zone
      : lower === zone || lower.endsWith(`.${zone}`)
        ? lower
        : `${lower}.${zone}`;
  if (
    full.length > 253 ||
    !full.split('.').every((label, i) => isLabel(label) || (i === 0 && label === '*'))
  )
    refuse(9000, 'DNS name is invalid.');
  return full;
}

function isLabel(label: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label);
}

/** A name as the API reports it; the root itself is a dot. */
export const withoutDot = (name: string): string => (name === '.' ? name : name.replace(/\.$/, ''));

export function isHostName(name: string): boolean {
  return (
    name.length <= 254 &&
    name.toLowerCase().replace(/\.$/, '').split('.').every(isLabel) &&
    !isIPv4(name)
  );
}
