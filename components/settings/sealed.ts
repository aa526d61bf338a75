import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
/** Octets. */
const [keySize, nonceSize, tagSize] = [32, 12, 16];

/** A key for sealed values, in base64: one for a stack, whose config has it as a secret. */
export const newSealingKey = (): string => randomBytes(keySize).toString('base64');

/** A secret as a file may have it: encrypted and authenticated by AES-256-GCM, in base64 after `v1:`. */
export function sealed(secret: string, key: string): string {
  const nonce = randomBytes(nonceSize);
  const cipher = createCipheriv(algorithm, keyOf(key), nonce, { authTagLength: tagSize });
  const parts = [nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()];
  return `v1:${Buffer.concat(parts).toString('base64')}`;
}

/** @returns undefined for what was not sealed by that key, or was changed */
export function unsealed(text: string, key: string): string | undefined {
  const [, encoded] = /^v1:([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  const octets = Buffer.from(encoded ?? '', 'base64');
  if (octets.length < nonceSize + tagSize) return undefined;
  const nonce = octets.subarray(0, nonceSize);
  const decipher = createDecipheriv(algorithm, keyOf(key), nonce, { authTagLength: tagSize });
  decipher.setAuthTag(octets.subarray(-tagSize));
  try {
    const plain = [decipher.update(octets.subarray(nonceSize, -tagSize)), decipher.final()];
    return Buffer.concat(plain).toString('utf8');
  } catch {
    return undefined;
  }
}

/** @throws Error that does not show it */
function keyOf(text: string): Buffer {
  const key = Buffer.from(text, 'base64');
  if (key.length !== keySize)
    throw new Error(`mailhost:accountsKey is not a key of ${keySize} octets in base64`);
  return key;
}
