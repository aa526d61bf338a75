import { join } from 'node:path';
import { readJson, writeJson } from '../jsonFile';
import type { Lab } from '../state';

/** What a location has of a server type. */
export interface Offer {
  /** Default: true. */
  available?: boolean;
  /** ISO times. */
  deprecation?: { announced: string; unavailable_after: string };
}

/** By `TYPE@LOCATION`; what is not in it is available. */
export type Offers = Record<string, Offer>;

/** The deprecated type is gone everywhere, as those of Hetzner Cloud are after their last day. */
export const defaultOffers: Offers = Object.fromEntries(
  ['fsn1', 'nbg1', 'hel1'].map((location) => [
    `cx22@${location}`,
    {
      available: false,
      deprecation: {
        announced: '2025-10-16T06:00:00+00:00',
        unavailable_after: '2025-12-31T00:00:00+00:00',
      },
    },
  ]),
);

const fileOf = (lab: Lab) => join(lab.dir, 'offers.json');

/** From now on, besides the default ones. */
export const setOffers = (lab: Lab, offers: Offers): void => writeJson(fileOf(lab), offers);

export const offersOf = (lab: Lab): Offers => ({
  ...defaultOffers,
  ...readJson<Offers>(fileOf(lab), {}),
});
