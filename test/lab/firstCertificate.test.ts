import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acmeDirectory, acmeRoot, startAcme, stopAcme } from '../../lab/acme';
import { onHost } from '../../lab/machines';
import { sendFromRemote, waitForMail } from '../../lab/mail';
import { addresses } from '../../lab/network';
import { loginOf } from '../../lab/proof';
import { labResolver } from '../../lab/remote/resolver';
import type { Lab } from '../../lab/state';
import { hex, hostName, ports, serialsAt } from './certificate';
import { endLab, startLab, TestStack } from './testLab';

const name = 'first';
let lab: Lab;
let stack: TestStack;

beforeAll(async () => {
  lab = startLab(name);
  stack = new TestStack(lab);
  await stack.select();
  for (const [setting, value] of Object.entries({
    'tls.issuer': 'acme',
    'tls.directory': acmeDirectory,
    'tls.acceptTerms': 'true',
    web: 'false',
  })) {
    await stack.set(`mailhost:${setting}`, value, '--path');
  }
  await stopAcme(lab);
});
afterAll(() => endLab(name));

const up = async (...options: string[]) => {
  const { status, output } = await stack.run(['up', '--yes', '--skip-preview', ...options]);
  expect(status, output).toBe(0);
  return output;
};

/** Of all ports, for who trusts that CA alone. */
const serials = (caPem: string) => {
  const ca = join(lab.dir, 'trusted.pem');
  writeFileSync(ca, caPem);
  const served = ports.filter(([port]) => port !== 443);
  return serialsAt({ address: stack.outputs().ipv4, ca }, served);
};

/** PEM of the stack's own CA, which is no output where a public one is to issue. */
const ownCa = () =>
  stack.resources().find(({ type }) => type === 'tls:index/selfSignedCert:SelfSignedCert')!.outputs!
    .certPem as string;

const accounts = async () => {
  // No resolver, which would remember what it has said before.
  const issuers = await labResolver(addresses.authoritative.v4)(hostName, 'CAA');
  return (issuers as unknown as { issue?: string }[]).flatMap(
    ({ issue = '' }) => /accounturi=([^;]+)/.exec(issue)?.[1] ?? [],
  );
};

const missing = 'mail.example.org has no certificate of the CA yet';

describe('a host without a web server whose CA is down at the first up', () => {
  it('works with a certificate of its own, and says what is missing', async () => {
    const output = await up();
    expect(output).toContain(missing);
    expect(stack.outputs().nextSteps).toContain(missing);
    expect(await serials(ownCa())).toEqual([expect.stringMatching(hex)]);
    expect(await accounts()).toEqual([]);
    const message = { from: 'erika@remote.example', to: 'anna@example.org', subject: 'meanwhile' };
    await sendFromRemote(lab, { ...message, text: '' });
    const login = loginOf(stack.outputs(), 'anna@example.org');
    await waitForMail({ ...login, ca: ownCa() }, 'meanwhile');
  });

  it('has that of the CA once it answers, by the timer', async () => {
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

  it('names its account at the CA to all others after an up that asks for it again', async () => {
    const { output } = await stack.run(['stack', '--show-urns']);
    for (const of of ['account', 'check']) {
      const [urn] = new RegExp(`urn:.*:Command::.*-${of}$`, 'm').exec(output)!;
      await up('--replace', urn);
    }
    expect(await accounts()).toEqual([expect.stringMatching(/^https:/)]);
    expect(stack.outputs().nextSteps).not.toMatch(/has no certificate|CAA/);
    onHost(lab, `mailhost renew ${hostName}`);
    expect(await serials(await acmeRoot(lab))).toEqual([expect.stringMatching(hex)]);
  });
});
