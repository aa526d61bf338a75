import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { acmeDirectory, acmeRoot, startAcme, stopAcme } from '../../lab/acme';
import { onHost } from '../../lab/machines';
import { sendFromRemote, waitForMail } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { loginOf } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import { hex, hostName, ports, serialsAt } from './certificate';
import { erika, hostTest } from './hosts';
import { step } from './testLab';

const it = hostTest();

const accounts = async () => {
  // No resolver, which would remember what it has said before.
  const issuers = await labResolver(addresses.authoritative.v4)(hostName, 'CAA');
  return (issuers as unknown as { issue?: string }[]).flatMap(
    ({ issue = '' }) => /accounturi=([^;]+)/.exec(issue)?.[1] ?? [],
  );
};

const missing = 'mail.example.org has no certificate of the CA yet';

it('works without a web server and with its CA down at the first up, and has its certificate later', async ({
  freshLab,
}) => {
  const { lab, stack } = freshLab;
  const serials = (caPem: string) => {
    // Of all ports, for who trusts that CA alone.
    const ca = join(lab.dir, 'trusted.pem');
    writeFileSync(ca, caPem);
    const served = ports.filter(([port]) => port !== 443);
    return serialsAt({ address: stack.outputs().ipv4, ca }, served);
  };

  await step('it works with a certificate of its own, and says what is missing', async () => {
    await stopAcme(lab);
    const output = await freshLab.up({
      'tls.issuer': 'acme',
      'tls.directory': acmeDirectory,
      'tls.acceptTerms': 'true',
      web: 'false',
    });
    expect(output).toContain(missing);
    expect(stack.outputs().nextSteps).toContain(missing);
    // The stack's own CA is no output where a public one is to issue.
    const ca = stack
      .resources()
      .find(({ type }) => type === 'tls:index/selfSignedCert:SelfSignedCert')!.outputs!
      .certPem as string;
    expect(await serials(ca)).toEqual([expect.stringMatching(hex)]);
    expect(await accounts()).toEqual([]);
    const subject = 'meanwhile';
    await sendFromRemote(lab, { from: erika, to: 'anna@example.org', subject, text: '' });
    await waitForMail({ ...loginOf(stack.outputs(), 'anna@example.org'), ca }, subject);
  });

  await step('it has that of the CA once it answers, by the timer', async () => {
    await startAcme(lab);
    // Its patience is over.
    const edit = `import json; p = "/srv/mailhost/acme/state.json"; s = json.load(open(p))
for e in s.values(): e["next"] = 0
json.dump(s, open(p, "w"))`;
    onHost(lab, `python3 -c '${edit}'`);
    onHost(lab, 'systemctl is-active mailhost-renew.timer; systemctl start mailhost-renew.service');
    expect(await serials(await acmeRoot(lab))).toEqual([expect.stringMatching(hex)]);
    expect(onHost(lab, 'ss -ltnH "sport = :80 or sport = :443"')).toBe('');
  });

  await step('an up that asks for it again names its account at the CA to all others', async () => {
    const commands = stack.resources().filter(({ type }) => type === 'command:remote:Command');
    for (const of of ['account', 'check']) {
      const { urn } = commands.find((command) => command.urn.endsWith(`-${of}`))!;
      await freshLab.up({}, '--replace', urn);
    }
    expect(await accounts()).toEqual([expect.stringMatching(/^https:/)]);
    expect(stack.outputs().nextSteps).not.toMatch(/has no certificate|CAA/);
    onHost(lab, `mailhost renew ${hostName}`);
    expect(await serials(await acmeRoot(lab))).toEqual([expect.stringMatching(hex)]);
  });
});
