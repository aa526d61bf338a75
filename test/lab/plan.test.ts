import { describe, expect } from 'vitest';
import { apiAccess } from '../../lab/apis';
import { setFaults } from '../../lab/cloud/faults';
import { setOffers } from '../../lab/cloud/offers';
import { hostTest, type Host } from './hosts';
import { zoneOf } from './testLab';

const it = hostTest({
  // As a person may write it, and as no API tells it.
  'domains[2].name': 'bücher.example.',
  'domains[2].spf[0]': 'a:smtp.bücher.example',
});

/** The servers' ids in the state. */
const servers = ({ stack }: Host) =>
  stack.resources().flatMap(({ type, id }) => (type.endsWith(':Server') ? id : []));
const serversAtHetzner = async ({ lab }: Host): Promise<number> => {
  const { HCLOUD_ENDPOINT: base, HCLOUD_TOKEN: token } = apiAccess(lab);
  const answer = await fetch(`${base}/servers`, { headers: { authorization: `Bearer ${token}` } });
  return ((await answer.json()) as { servers: object[] }).servers.length;
};
const urnOf = ({ stack }: Host, end: string) =>
  stack.resources().find(({ urn }) => urn.endsWith(`::${end}`))!.urn;
const preview = ({ stack }: Host, ...options: string[]) => stack.run(['preview', ...options]);
const isActive = (host: Host) => host.shell('systemctl is-active opensmtpd').trim() === 'active';

/** Runs `work` with settings that are as before afterwards. */
async function withSettings<T>(
  { stack }: Host,
  settings: Record<string, string>,
  work: () => Promise<T>,
): Promise<T> {
  for (const [key, value] of Object.entries(settings)) await stack.set(key, value);
  try {
    return await work();
  } finally {
    for (const key of Object.keys(settings)) await stack.unset(key);
  }
}

/** Runs `work` while Hetzner has no room for some types. */
async function withoutRoomFor<T>(
  { lab }: Host,
  types: string[],
  work: () => Promise<T>,
): Promise<T> {
  setOffers(lab, Object.fromEntries(types.map((type) => [type, { available: false }])));
  try {
    return await work();
  } finally {
    setOffers(lab, {});
  }
}

describe('a plan', () => {
  it('takes an international domain, which the API tells in Unicode', async ({ host }) => {
    const zone = await zoneOf(host.lab, 'bücher.example');
    const records = (await zone.list()) as { name: string; type: string; content: string }[];
    expect(records).toContainEqual(
      expect.objectContaining({
        name: 'xn--bcher-kva.example',
        type: 'MX',
        content: 'mail.example.org',
      }),
    );
    expect(records).toContainEqual(
      expect.objectContaining({
        content: '"v=spf1 mx a:smtp.xn--bcher-kva.example -all"',
      }),
    );
    expect(records.every((record) => /(^|\.)xn--bcher-kva\.example$/.test(record.name))).toBe(true);
    expect(Object.keys(host.stack.outputs().dsRecords)).toContain('xn--bcher-kva.example');
  });

  it.for<[string, Record<string, string>, string]>([
    ['a replacement', { 'mailhost:serverGeneration': '2' }, 'cx23'],
    ['a resize', { 'mailhost:serverType': 'cx33' }, 'cx33'],
    ['a deprecated type', { 'mailhost:serverType': 'cx22' }, 'cx22'],
  ])(
    'is stopped in the preview where it would end with no server: %s',
    async ([, change, type], { host }) => {
      const before = servers(host);
      await withoutRoomFor(host, ['cx23@fsn1', 'cx33@fsn1'], () =>
        withSettings(host, change, async () => {
          for (const { status, output } of [await preview(host), await host.stack.up()]) {
            expect(status).not.toBe(0);
            expect(output).toMatch(
              new RegExp(`(no room for a server of type|no server of type) ${type}`),
            );
            expect(output).not.toMatch(/at .*\.ts:\d+/);
          }
        }),
      );
      expect(servers(host)).toEqual(before);
      expect(isActive(host)).toBe(true);
    },
  );

  it('fails in the preview where the engine is told to replace the server, and there is no other', async ({
    host,
  }) => {
    await withoutRoomFor(host, ['cx23@fsn1'], async () => {
      const { status, output } = await preview(
        host,
        '--replace',
        urnOf(host, 'mail-machine-server'),
      );
      expect(status).not.toBe(0);
      expect(output).toContain('fsn1 has no room for a server of type cx23 now');
    });
  });

  it.for<[string, string]>([
    ['mail-example.org-s1', 'the DKIM key s1 of example.org would be made anew'],
    ['mail-certificate-key', 'the TLS key of generation 1 would be made anew'],
    ['mail-machine-host-key', 'the host key would be made anew'],
  ])(
    'shows in the preview, and refuses, to make %s anew',
    async ([resource, message], { host }) => {
      const urn = urnOf(host, resource);
      const key = () =>
        host.stack.resources().find((one) => one.urn === urn)!.outputs!.publicKeyFingerprintSha256;
      const before = key();
      for (const command of [['preview'], ['up', '--yes', '--skip-preview']]) {
        const { status, output } = await host.stack.run([...command, '--replace', urn]);
        expect(status).not.toBe(0);
        expect(output).toContain(message);
      }
      expect(key()).toBe(before);
    },
  );

  it('warns in the preview of the mail that is lost with a volume', async ({ host }) => {
    const { output } = await preview(host, '--replace', urnOf(host, 'mail-machine-volume'));
    expect(output).toMatch(/warning: the volume would be made anew, and empty/);
  });

  it('names provider, calls and setting where the token is wrong', async ({ host }) => {
    await withSettings(
      host,
      { 'hcloud:token': 'm'.repeat(64), 'mailhost:serverGeneration': '2' },
      async () => {
        const { status, output } = await preview(host);
        expect(status).not.toBe(0);
        expect(output).toMatch(/Hetzner Cloud does not answer .*getServers.*hcloud:token/);
        expect(output).not.toMatch(/unhandled|at .*\.[jt]s:\d+/i);
      },
    );
  });

  it('updates commands without a warning, and names the host where the connection is lost', async ({
    freshHost: host,
  }) => {
    await withSettings(host, { 'mailhost:spamTagLevel': '4' }, async () => {
      const cut = Buffer.from(
        `
until pgrep -f '[m]ailhost activate' >/dev/null; do sleep 0.05; done
kill -KILL $(pgrep -f 'sshd-session: root')
`,
      ).toString('base64');
      host.shell(`echo ${cut} | base64 -d >/run/cut; systemd-run --quiet --collect bash /run/cut`);
      const failed = await host.stack.up();
      expect(failed.status).not.toBe(0);
      expect(failed.output).toMatch(
        /the connection to root@10\.88\.\d+\.\d+ was lost while `mailhost activate .*run `pulumi up` again/,
      );
      const { status, output } = await host.stack.up();
      expect(status, output).toBe(0);
      expect(output).toMatch(/Command mail-\S+ updated/);
      expect(output).not.toContain('Unable to set');
    });
    expect((await host.stack.up()).status).toBe(0);
  });

  it('says what is gone and what to set where no server is made, and goes on from there', async ({
    freshHost: host,
  }) => {
    await withSettings(host, { 'mailhost:serverGeneration': '2' }, async () => {
      setFaults(host.lab, [
        { api: 'hcloud', method: 'POST', path: '/servers', done: false, status: 412, times: 1 },
      ]);
      const failed = await host.stack.up();
      setFaults(host.lab, []);
      expect(failed.status).not.toBe(0);
      expect(failed.output).toMatch(
        /Hetzner Cloud made no server of type cx23 in fsn1 .*resource_unavailable.*There is no server now.*Set serverType to one that fsn1 has \(cx33\)/,
      );
      // The state still has the old one, as one that is to be replaced.
      expect(await serversAtHetzner(host)).toBe(0);
      const { status, output } = await host.stack.up();
      expect(status, output).toBe(0);
      expect(await serversAtHetzner(host)).toBe(1);
      expect(isActive(host)).toBe(true);
    });
  });
});
