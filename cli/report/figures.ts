import { z } from 'zod';
import { fromJson } from '../../components/review/values';
import { isOlder, onHost, reasonIn } from '../../components/ssh';
import type { HostStack } from '../stack';

/** Seconds. */
const patience = 120;

const numbers = z.array(z.number());
const series = z.array(z.object({ name: z.string(), outcome: z.string(), numbers }));
const span = z.object({
  /** Seconds since 1970, and seconds of each number. */
  begin: z.number(),
  step: z.number(),
  mail: series,
  logins: series,
  /** Milliseconds; 0 where there was nothing. */
  durations: z.array(
    z.object({ what: z.enum(['in', 'out', 'scan']), median: numbers, most: numbers }),
  ),
  queue: numbers,
});
/** As components/hostDocuments.schema.json has it. */
const document = z.object({
  collected: z.number(),
  days: span,
  hours: span,
  storage: numbers,
  accounts: z.array(
    z.object({ name: z.string(), octets: z.number(), messages: z.number(), before: z.number() }),
  ),
  dmarc: z.array(
    z.object({
      domain: z.string(),
      reporter: z.string(),
      source: z.string(),
      disposition: z.string(),
      dkim: z.string(),
      spf: z.string(),
      messages: z.number(),
    }),
  ),
  tls: z.array(
    z.object({
      domain: z.string(),
      reporter: z.string(),
      policy: z.string(),
      result: z.string(),
      sessions: z.number(),
    }),
  ),
  calendar: z.array(z.object({ what: z.string(), about: z.string(), time: z.number() })),
});

/** What a host has counted. */
export type Figures = z.infer<typeof document>;
export type Span = z.infer<typeof span>;

/**
 * @param text output of `mailhost figures` on the host
 * @throws Error if it is of another version
 */
export function parseFigures(text: string): Figures {
  const { data, error } = document.safeParse(fromJson(text));
  if (error)
    throw new Error(
      `the host program is of another version: ${z.prettifyError(error)}. Run \`pulumi up\`.`,
    );
  return data;
}

/**
 * Asks the host for its figures.
 *
 * @throws Error with the reason if it gives none
 */
export async function readFigures(
  { hostName, connection }: HostStack,
  run: typeof onHost = onHost,
): Promise<Figures> {
  const command = 'mailhost figures';
  const output = await run(connection, command, '', patience);
  const { status, stdout } = output;
  if (status === 0) return parseFigures(stdout);
  throw new Error(
    status === null
      ? `${hostName} did not answer in ${patience} s.`
      : isOlder(command, output)
        ? `the host program of ${hostName} is older than this command: run \`pulumi up\`.`
        : `${hostName} gives no figures: ${reasonIn(output)}`,
  );
}
