import { strict as assert } from 'node:assert';
import { onHost } from '../../lab/machines';
import { succeeds, type Bed } from './bed';

let count = 0;
/** Another alias, which the tables of OpenSMTPD alone carry; gives the words to look for. */
export async function change({ stack }: Bed): Promise<string> {
  const address = `fault${++count}@example.org`;
  await stack.set('mailhost:aliases[0].address', address, '--path');
  // With two recipients it is no login, so OpenSMTPD alone has another file.
  for (const [i, recipient] of ['anna@example.org', 'bert@example.net'].entries())
    await stack.set(`mailhost:aliases[0].recipients[${i}]`, recipient, '--path');
  return address;
}
export const isInForce = ({ lab }: Bed, wanted: string) =>
  assert.ok(onHost(lab, 'cat /etc/smtpd/recipients').includes(wanted), `${wanted} is not in force`);

/** Something that the host is changed by while it is disturbed. */
export interface Work {
  what: string;
  /** Command that succeeds on the host while it does the work. */
  underWay: string;
  /** Has the next `up` do the work; `disturb` is called once, and the work is done in the end. */
  around: (bed: Bed, disturb: () => Promise<string>) => Promise<string>;
}

export const push: Work = {
  what: 'a push puts files in force',
  // From then on files are renamed, and the daemon restarts.
  underWay: 'test -e /var/lib/mailhost/backup/opensmtpd/index.json',
  around: async (bed, disturb) => {
    const wanted = await change(bed);
    const seen = await disturb();
    await succeeds(bed);
    isInForce(bed, wanted);
    return seen;
  },
};

/** A package that others do not need, but that needs some which nothing else does. */
export const spare = 'needrestart';

export const installation: Work = {
  what: 'dpkg unpacks packages',
  underWay: "pgrep -f '^/usr/bin/dpkg .*--unpack' >/dev/null",
  around: async (bed, disturb) => {
    onHost(bed.lab, `DEBIAN_FRONTEND=noninteractive apt-get -qq autoremove ${spare} 2>&1`);
    await bed.stack.set('mailhost:drift', 'mend');
    const seen = await disturb();
    await succeeds(bed);
    onHost(
      bed.lab,
      `apt-get check >/dev/null && dpkg-query --show -f '\${Status}' ${spare} | grep 'ok installed'`,
    );
    await bed.stack.unset('mailhost:drift');
    await succeeds(bed);
    return seen;
  },
};
