import { afterEach, expect, test } from 'vitest';

const before = Error.prepareStackTrace?.bind(Error);
afterEach(() => {
  Error.prepareStackTrace = before;
});

test('only errors that say something have their stacks mapped', async () => {
  Error.prepareStackTrace = () => 'mapped';
  await import('../stackTraces.js');
  const [silent, telling] = [new Error().stack, new Error('a mistake').stack];
  expect([silent, telling]).toEqual(['Error', 'mapped']);
});
