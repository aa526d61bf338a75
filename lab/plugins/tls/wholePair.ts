import { utils } from 'ssh2';

/** The library makes about one ED25519 key in 300 that it cannot read again. */
export function wholePair(generate = () => utils.generateKeyPairSync('ed25519')) {
  for (;;) {
    const pair = generate();
    const parsed = utils.parseKey(pair.private);
    if (!(parsed instanceof Error)) return { pair, parsed };
  }
}
