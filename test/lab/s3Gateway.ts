import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheRoot } from '../../lab/state';

const version = 'v1.8.0';
const folder = join(cacheRoot, `versitygw-${version}`);

/** Program that keeps buckets in files, and checks signatures as S3 does. */
export const s3Gateway = join(folder, 'versitygw');

/** Builds it where it is missing, which takes about a minute. Not from within a lab: its source comes from outside. */
export function buildS3Gateway(): void {
  if (existsSync(s3Gateway)) return;
  execFileSync('go', ['install', `github.com/versity/versitygw/cmd/versitygw@${version}`], {
    env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
