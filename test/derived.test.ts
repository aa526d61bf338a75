import { expect, it } from 'vitest';
import { deliveredElsewhere, deliveredHere, withMail } from '../components/settings/derived';
import { parseSettings } from '../components/settings/parse';
import { example } from './example';

const { domains } = parseSettings({
  ...example,
  domains: [
    ...example.domains,
    { name: 'example.com', delivery: 'elsewhere' },
    { name: 'parked.example', parked: true },
  ],
});
const names = (some: typeof domains) => some.map(({ name }) => name);

it('a parked domain has no mail, and another one has it here or elsewhere', () => {
  expect(names(deliveredHere(domains))).toEqual(['example.net', 'example.org']);
  expect(names(deliveredElsewhere(domains))).toEqual(['example.com']);
  expect(names(withMail(domains))).toEqual(['example.com', 'example.net', 'example.org']);
});
