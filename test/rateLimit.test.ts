import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateLimit } from '../components/dns/rateLimit';

test('no period has more calls than the limit, and no call begins before it is asked for', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.nat(5_000), { minLength: 1, maxLength: 50 }),
      (calls, seconds, pauses) => {
        const limit = new RateLimit(calls, seconds);
        let now = 0;
        const begins = pauses.map((pause) => {
          now += pause;
          const begin = limit.next(now);
          expect(begin).toBeGreaterThanOrEqual(now);
          return begin;
        });
        for (const from of begins) {
          const within = begins.filter((begin) => begin >= from && begin < from + seconds * 1000);
          expect(within.length).toBeLessThanOrEqual(calls);
        }
      },
    ),
  );
});

test('calls wait only where the limit asks for it', () => {
  const limit = new RateLimit(2, 60);
  const begins = [0, 0, 0, 59_000, 61_000, 200_000].map((now) => limit.next(now));
  expect(begins).toEqual([0, 0, 60_000, 60_000, 120_000, 200_000]);
});
