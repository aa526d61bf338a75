import { strict as assert } from 'node:assert';
import { Machines } from '../../lab/machines';
import { begun, done, killAt, succeeds, type Row } from './bed';
import { settles } from './cloud';
import { flowing } from './flow';

/** Where an `up` from nothing is killed, each once. */
const points = [
  done('SshKey mail-machine-ssh-key'),
  done('Volume mail-machine-volume'),
  done('Rdns mail-machine-ipv4-ptr'),
  done('DnsRecord mail-example.org/mx'),
  begun('Server mail-machine-server'),
  done('Server mail-machine-server'),
  done('VolumeAttachment mail-machine-volume'),
  begun('Command mail-host-program'),
  done('Command mail-host-program'),
  // While packages are being installed.
  begun('Command mail-host-system', 5000),
  done('Command mail-host-system'),
  done('Command mail-tls-secrets'),
  done('Command mail-resolver'),
  begun('Command mail-dovecot'),
  begun('Command mail-spamassassin'),
  done('Command mail-spamassassin'),
  begun('Command mail-amavis'),
  done('Command mail-amavis'),
  begun('Command mail-opensmtpd'),
  done('Command mail-opensmtpd'),
];

export const killedUp: Row = {
  name: 'killed-up',
  what: `an \`up\` from nothing is killed at ${points.length} points, and run again each time`,
  runs: points.length,
  expected: 'the last `up` converges, 0 duplicates, 0 orphans',
  from: 'nothing',
  run: async (bed) => {
    const left = new Set(points);
    let beginnings = 1;
    while (left.size > 0) {
      const at = await killAt(bed.stack, [...left]);
      if (at !== undefined) {
        left.delete(at);
        continue;
      }
      // It came to its end between two of them: once more from nothing.
      assert.ok(
        beginnings++ < 4,
        `never came to ${[...left].map(({ line }) => line.source).join(', ')}`,
      );
      const { status, output } = await bed.stack.run(['destroy', '--yes', '--skip-preview']);
      assert.equal(status, 0, output);
    }
    await settles(bed);
    return `${points.length} kills, ${beginnings} times from nothing`;
  },
};

const replacementPoints = [
  { line: /Server mail-machine-server deleting/, wait: 300 },
  begun('Server mail-machine-server'),
  begun('Command mail-host-system', 5000),
  begun('Command mail-amavis'),
];

export const killedReplacement: Row = {
  name: 'killed-replacement',
  what: 'a replacement of the server is killed, and run again each time, under a flow of mail',
  runs: replacementPoints.length,
  expected: 'the last `up` converges, 0 duplicates, 0 orphans, 0 messages lost',
  run: async (bed) => {
    const machines = new Machines(bed.lab);
    const before = machines.ids();
    const seen = await flowing(bed, 'replaced', async (flow) => {
      await flow.more(3);
      await bed.stack.set('mailhost:serverGeneration', '2');
      for (const point of replacementPoints) {
        assert.ok(await killAt(bed.stack, [point]), `never came to ${point.line.source}`);
      }
      await succeeds(bed);
      await flow.more(3);
    });
    assert.notDeepEqual(machines.ids(), before);
    await settles(bed);
    return seen;
  },
};

/** Kills the machine itself under a flow of mail; the page cache stays, so this is no power cut. */
export const killedMachine = (runs: number): Row => ({
  name: 'killed-machine',
  what: 'the machine is killed under a flow of mail',
  runs,
  expected: '0 messages lost',
  run: (bed) =>
    flowing(bed, 'machine', async (flow) => {
      const machines = new Machines(bed.lab);
      const [id] = machines.ids();
      for (let i = 0; i < runs; i++) {
        await flow.more(3);
        await machines.powerOff(id!);
        await machines.powerOn(id!);
      }
      await flow.more(3);
    }),
});
