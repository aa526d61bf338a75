import { z } from 'zod';
import { fromJson } from '../../components/review/values';
import { isOlder, onHost, reasonIn, type Connection, type Output } from '../../components/ssh';
import type { HostStack } from '../stack';
import { insideCodes } from './catalogue';
import type { Result } from './finding';

/** Seconds. The host's probes have 15 each. */
const patience = 120;

/** As components/hostDocuments.schema.json has it. */
const document = z.array(z.object({ code: z.enum(insideCodes), evidence: z.string() }));

/** Asks the host for what it finds wrong with itself. */
export async function lookFromInside(
  { hostName, connection, mail }: HostStack,
  run: (
    connection: Connection,
    command: string,
    stdin: string,
    seconds: number,
  ) => Promise<Output> = onHost,
): Promise<Result[]> {
  const notDone = (why: string): Result[] => [{ unchecked: `${hostName} from inside`, why }];
  const command = 'mailhost doctor';
  const output = await run(connection, command, mail, patience);
  const { status, stdout } = output;
  const words = reasonIn(output);
  if (status === 255) return [{ code: 'ssh-failed', about: hostName, evidence: words }];
  if (status === null) return notDone(`it did not answer in ${patience} s`);
  if (isOlder(command, output))
    return notDone('its host program is older than this command: run `pulumi up`');
  if (status !== 0) return notDone(words);
  const { data, error } = document.safeParse(fromJson(stdout));
  if (error) return notDone(`its host program is of another version: ${z.prettifyError(error)}`);
  return data.map((finding) => ({ ...finding, about: hostName }));
}
