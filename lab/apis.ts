import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './state';

/** Loopback ports of the lab's two cloud APIs. */
export const ports = { hcloud: 18000, cloudflare: 18001 };

/** What the lab's two APIs let in, of the form that the official plugins ask for; made at the first call. */
export function apiTokens(labDir: string): { hcloud: string; cloudflare: string } {
  const file = join(labDir, 'tokens.json');
  if (!existsSync(file)) {
    const random = (length: number) => randomBytes(length / 2).toString('hex');
    const tokens = { hcloud: random(64), cloudflare: random(40) };
    writeFileSync(file, JSON.stringify(tokens), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof apiTokens>;
}

/** Where the plugins find the two APIs, and what these let in. */
export function apiAccess(lab: Lab) {
  const { hcloud, cloudflare } = ports;
  const tokens = apiTokens(lab.dir);
  return {
    HCLOUD_ENDPOINT: `http://127.0.0.1:${hcloud}/v1`,
    HCLOUD_TOKEN: tokens.hcloud,
    CLOUDFLARE_BASE_URL: `http://127.0.0.1:${cloudflare}/client/v4`,
    CLOUDFLARE_API_TOKEN: tokens.cloudflare,
  };
}
