import { Machines, onHost } from '../../lab/machines';
import { waitFor } from '../../lab/state';
import { fails, whileUnderWay, type Bed, type Row } from './bed';
import { installation, push, type Work } from './work';

/** What cuts an `up` off, as a command on the host or from outside. */
const cuts: { name: string; what: string; command?: string; boots?: true }[] = [
  { name: 'ssh', what: 'the SSH connection is cut', command: 'pkill -KILL -x sshd-session' },
  {
    name: 'program',
    what: 'the host program is killed',
    command: "pkill -KILL -f '^/usr/bin/python3 .*mailhost (activate|prepare)'",
  },
  {
    name: 'reboot',
    what: 'the host is rebooted',
    // As `systemctl reboot` does once nobody objects: apt does, while dpkg works.
    command: 'systemctl --no-block --job-mode=replace-irreversibly start reboot.target',
    boots: true,
  },
  { name: 'power', what: 'the machine is killed', boots: true },
];

const rowsOf = (name: string, work: Work) =>
  cuts.map((cut): Row => ({
    name: `cut-${cut.name}-${name}`,
    what: `${cut.what} while ${work.what}`,
    expected: 'the `up` fails, the next one converges',
    run: (bed) =>
      work.around(bed, async () => {
        const machines = new Machines(bed.lab);
        const [id] = machines.ids();
        const before = machines.leader(id!);
        // What comes after the cut shows that the work had not ended by then.
        const command = [cut.command, cut.boots ? undefined : work.underWay].filter(Boolean);
        const [words] = await Promise.all([
          fails(bed, /(connection to \S+ was lost|after \d+ failed attempts)[^:\n]*/),
          whileUnderWay(bed, work.underWay, command.join(' && ') || 'true').then(async () => {
            if (cut.command !== undefined) return;
            await machines.powerOff(id!);
            await machines.powerOn(id!);
          }),
        ]);
        if (cut.boots) {
          await waitFor('the host has booted again', () => {
            const now = machines.leader(id!);
            return now !== undefined && now !== before && isUp(bed);
          });
        }
        return words;
      }),
  }));

function isUp({ lab }: Bed): boolean {
  try {
    return onHost(lab, 'systemctl is-active multi-user.target') !== '';
  } catch {
    return false;
  }
}

/** Every way to cut off an `up`, while it does either kind of work. */
export const cutRows = [...rowsOf('push', push), ...rowsOf('dpkg', installation)];
