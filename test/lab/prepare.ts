import type { TestProject } from 'vitest/node';
import { engine } from '../../lab/stack';
import { machineImage, oldHostImage, serviceImage } from '../../lab/images';
import { holdPackageProxy, releasePackageProxy } from '../../lab/packages';
import { forgetFailures } from './evidence';
import { endLeftLabs } from './leftLabs';
import { buildS3Gateway } from './s3Gateway';

/** What all tests share, and what none can make in its cell: from there nothing outside is within reach. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  forgetFailures();
  engine();
  machineImage();
  serviceImage();
  oldHostImage();
  if (process.env.MAILHOST_LONG !== undefined) buildS3Gateway();
  provide('run', process.pid);
  await endLeftLabs();
  await holdPackageProxy();
  return releasePackageProxy;
}
