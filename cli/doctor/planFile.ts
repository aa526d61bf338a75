import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fromJson } from '../../components/review/values';
import type { HostStack } from '../stack';

/** What the view from outside needs to know of a mail host: nothing that is not public. */
const planFile = z.object({
  stack: z.string(),
  hostName: z.string(),
  ipv4: z.string(),
  ipv6: z.string().optional(),
  caCertPem: z.string().optional(),
  domains: z.array(z.string()),
  parked: z.array(z.string()),
  zones: z.record(z.string(), z.string()),
  records: z.array(
    z.object({ zone: z.string(), name: z.string(), type: z.string(), data: z.string() }),
  ),
  dsRecords: z.record(z.string(), z.string()),
  mtaSts: z.string(),
});

/** The plan of a stack as text of a file, for a machine that is to have no access to the stack. */
export const planText = (stack: HostStack): string =>
  `${JSON.stringify(planFile.parse(stack), undefined, 2)}\n`;

/** @throws Error if the file is not one that `--save-plan` wrote */
export function readPlan(path: string): HostStack {
  const { data, error } = planFile.safeParse(fromJson(readFileSync(path, 'utf8')));
  if (error)
    throw new Error(
      `${path} is not a plan: ${z.prettifyError(error)}. Write it with --save-plan of this version.`,
    );
  return {
    ...data,
    mail: JSON.stringify({ domains: data.domains.map((name) => ({ name })) }),
    // There is no way in: the view from outside uses none.
    connection: { host: '', user: '', hostKey: '', privateKey: '' },
  };
}
