import type { Slot } from '../machineFiles';
import type { Settings } from '../settings/settings';

/** The servers of a host: one, or the one that serves and another beside it. */
export interface Servers {
  /** Which of them has the volume and the addresses of the host. */
  serving: Slot;
  /** Generation of each. */
  generations: Partial<Record<Slot, number>>;
  /** One more with each switch that was begun, or taken back. */
  handovers: number;
}

/** A switch from one server to the other. */
export interface Handover extends Pick<Servers, 'serving'> {
  number: number;
  /** What happens first, and the address to reach that server at. What has happened already has none that matters. */
  steps: { ready?: string; giveUp?: string };
}

/** What a plan does with the servers. */
export type ServerStep = 'none' | 'prepare' | 'switch' | 'back' | 'remove' | 'discard';

export interface ServerPlan extends Servers {
  step: ServerStep;
  /** With a standby server alone. */
  handover?: Handover;
}

/** The one server of a machine that has no other. */
export const oneServer = (generation: number): ServerPlan => ({
  serving: 'server',
  generations: { server: generation },
  handovers: 0,
  step: 'none',
});

/** What the state keeps; nothing where there never was but one server in its place. */
export const keptServers = ({ serving, generations, handovers }: Servers): { servers?: Servers } =>
  serving === 'server' && handovers === 0 && generations['second-server'] === undefined
    ? {}
    : { servers: { serving, generations, handovers } };

export const otherSlot = (slot: Slot): Slot => (slot === 'server' ? 'second-server' : 'server');

/** The slot of the newest server. */
export const newestSlot = ({ generations }: Pick<Servers, 'generations'>): Slot =>
  (generations['second-server'] ?? 0) > (generations.server ?? 0) ? 'second-server' : 'server';

const inWords = (generation: number) => `generation ${generation}`;

/** Compares the settings of servers with those that there are. */
export function planServers(
  { serverGeneration: wanted, standbyServer }: Pick<Settings, 'serverGeneration' | 'standbyServer'>,
  before: Servers | undefined,
  /** The switch that was begun last, whether or not it has ended. */
  begun: Omit<Handover, 'steps'> | undefined,
): Omit<ServerPlan, 'handover'> & { refused?: string } {
  if (before === undefined) {
    return {
      ...oneServer(wanted),
      ...(standbyServer && {
        refused:
          'there is no server yet that a standby server could take the place of: set standbyServer to false, and run `pulumi up` first',
      }),
    };
  }
  const { serving, handovers } = before;
  const other = otherSlot(serving);
  const present = before.generations[serving]!;
  const beside = before.generations[other];
  const alone = { serving, generations: { [serving]: present }, handovers };
  if (beside === undefined) {
    if (!standbyServer) return { ...alone, generations: { [serving]: wanted }, step: 'none' };
    return {
      ...alone,
      generations: { [serving]: present, [other]: present + 1 },
      step: 'prepare',
      ...(wanted !== present && {
        refused: `serverGeneration would jump over the preparation of the standby server: leave it at ${present}, run \`pulumi up\`, which prepares the server of ${inWords(present + 1)}, and set it to ${present + 1} then. For a server that is dead, set standbyServer to false`,
      }),
    };
  }
  const both = { serving, generations: { [serving]: present, [other]: beside }, handovers };
  // What has ended the state counts.
  const unended = begun !== undefined && begun.number !== handovers;
  if (!standbyServer) {
    return {
      ...alone,
      step: present > beside ? 'remove' : 'discard',
      ...(wanted !== present
        ? {
            refused: `serverGeneration would change from ${present} to ${wanted} while the server beside it is deleted: leave standbyServer at true for the switch, and serverGeneration at ${present} to delete the server of ${inWords(beside)}`,
          }
        : unended && {
            refused: `the switch to the server of ${inWords(beside)} was begun and has not ended, so neither server can be deleted: set standbyServer to true, and serverGeneration to ${beside} to go on, or to ${present} to go back, and run \`pulumi up\` first`,
          }),
    };
  }
  if (wanted === present) return { ...both, step: unended ? 'back' : 'none' };
  if (wanted === beside)
    return { ...both, serving: other, step: beside > present ? 'switch' : 'back' };
  const [low, high] = [present, beside].sort((a, b) => a - b) as [number, number];
  return {
    ...both,
    step: 'none',
    refused: `serverGeneration would jump to ${wanted}, and the servers are of the generations ${low} and ${high}: set it to one of these, or delete the server beside by standbyServer false first`,
  };
}

/** What a person has to know of a step, in the preview. */
export function stepWarnings({ step, generations, serving }: ServerPlan): string[] {
  const own = inWords(generations[serving]!);
  const other = generations[otherSlot(serving)];
  switch (step) {
    case 'none':
      return [];
    case 'prepare':
      return [
        `a second server, of ${inWords(other!)}, is prepared beside the one that serves, and checked without the volume: mail is not touched. It costs as much as the first. To switch to it, set serverGeneration to ${other} in the next step; to delete it, set standbyServer to false`,
      ];
    case 'switch':
      return [
        `the server of ${own} takes over: the old one ends its transfers and is turned off, and volume and addresses move. Meanwhile no mail is accepted and no mailbox can be read; other mail systems try again. If it fails, run \`pulumi up\` again to go on, or set serverGeneration back to ${other} to go back. The old server stays, and serves nothing: the same setting goes back later, too`,
      ];
    case 'back':
      return [
        `the server of ${own} serves again: the other one ends its transfers and is turned off, and volume and addresses move back. Meanwhile no mail is accepted and no mailbox can be read; other mail systems try again`,
      ];
    case 'remove':
      return [
        'the server that served before is deleted with its logs: a switch back to it is not possible any more. Mail is not touched',
      ];
    case 'discard':
      return [
        'the standby server, which has not served yet or no longer serves, is deleted. Mail is not touched',
      ];
  }
}
