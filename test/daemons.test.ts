import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { daemons } from '../components/daemons';
import { amavis } from '../components/daemons/amavis';
import { portsOf, systemUsers } from '../components/daemons/catalogue';
import { SettingsError } from '../components/settings/mistakes';
import { parseSettings } from '../components/settings/parse';
import { daemonsReference } from '../docs/daemonsReference';
import { example, hash } from './example';

const names = daemons.map(({ name }) => name);
const users = systemUsers();

it('has each name once', () => {
  const services = daemons.flatMap(portsOf).map(({ service }) => service);
  const all = [names, services, users.map(({ name }) => name), users.map(({ id }) => id)];
  for (const list of all) expect([...new Set<unknown>(list)]).toEqual(list);
});

it('has no circle of daemons that wait for each other, through the records neither', () => {
  const waiting = new Map([
    ...daemons.map(({ name, waitsFor }) => [name, waitsFor] as const),
    ['volume', []] as const,
    // Records name keys that are served, and announce policies that are.
    ['records', ['tls', 'web']] as const,
  ]);
  const allBefore = (name: string, path: string[] = []): void => {
    expect([...waiting.keys()], path.join(' waits for ')).toContain(name);
    expect(path, 'a circle').not.toContain(name);
    for (const next of waiting.get(name)!) allBefore(next, [...path, name]);
  };
  for (const name of names) allBefore(name);
});

it.each(users)('lets no account take the name of the system user $name', ({ name }) => {
  const accounts = [{ address: `${name}@example.org`, passwordHash: hash }];
  const postmaster = 'someone@elsewhere.example';
  const parse = () => parseSettings({ ...example, accountKind: 'system', accounts, postmaster });
  expect(parse).toThrow(SettingsError);
  expect(parse).toThrow(/is a user of Debian/);
});

it('waits with amavis until it listens on the port that signs', () => {
  const dropIn = '../files/etc/systemd/system/amavis.service.d/mailhost.conf';
  const text = readFileSync(join(__dirname, dropIn), 'utf8');
  expect(text).toContain(`"sport = :${amavis.ports!.sign!.number}"`);
});

it('has users, specs of the host program, and tables of ports as `make docs` makes them', async () => {
  const files = await daemonsReference();
  expect(Object.keys(files)).toHaveLength(4);
  for (const [path, text] of Object.entries(files)) {
    expect(readFileSync(join(__dirname, '..', path), 'utf8'), path).toBe(text);
  }
});
