import { generateKeyPairSync } from 'node:crypto';
import * as pulumi from '@pulumi/pulumi';
import { MockMonitor } from '@pulumi/pulumi/runtime/mocks';
import { cloudflareLimit } from '../components/dns/cloudflare';
import '../stackTraces';

// The plans of many tests are made in one process, and ask nobody.
cloudflareLimit.calls = Infinity;

// The SDK's mocks say that they support hooks, and have no method to register one.
const registered = (_request: object, done: (error: null, answer: object) => void) =>
  done(null, {});
Object.assign(MockMonitor.prototype, {
  registerResourceHook: registered,
  registerErrorHook: registered,
});

export const newKeyPair = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });

export const { publicKey, privateKey } = newKeyPair();

/** One resource as it was registered under mocks, with the options that only a transform sees. */
export interface Recorded {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  options: pulumi.CustomResourceOptions;
  /** URN and id of the explicit provider; empty if it is a default one. */
  provider?: string;
}

/** What a provider computes, where a component works on its text. */
const computed: Record<string, object> = {
  'cloudflare:index/zoneDnssec:ZoneDnssec': { ds: 'DS' },
  'command:remote:Command': { stdout: '' },
  'tls:index/certRequest:CertRequest': { certRequestPem: 'PEM' },
  'tls:index/privateKey:PrivateKey': {
    privateKeyOpenssh: '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n',
    publicKeyOpenssh: 'ssh-ed25519 AAAA\n',
    publicKeyPem: publicKey,
    privateKeyPem: privateKey,
    privateKeyPemPkcs8: privateKey,
  },
};

const addressOf = (type: string, { type: family }: { type?: string }): object =>
  type === 'hcloud:index/primaryIp:PrimaryIp'
    ? { ipAddress: family === 'ipv6' ? '2001:db8::' : '192.0.2.1' }
    : {};

/** The resources of a stack, by URN, as the engine tells them. */
export type StackState = Record<string, { type: string; outputs: object }>;

/** What the cloud answers instead of its usual answers; undefined for those. `provider` is as that of a Recorded. */
export type Answers = (
  token: string,
  inputs: Record<string, unknown>,
  provider?: string,
) => object | undefined;

/** What the cloud tells of itself, and the engine of a stack. */
function answer(token: string, inputs: Record<string, unknown>, state: StackState): object {
  switch (token) {
    case 'cloudflare:index/getZone:getZone':
      return {
        zoneId: `id of ${(inputs.filter as { name: string }).name}`,
        name: (inputs.filter as { name: string }).name,
        status: 'active',
        nameServers: [],
      };
    case 'cloudflare:index/getZoneDnssec:getZoneDnssec':
      return { status: 'active' };
    case 'cloudflare:index/getDnsRecords:getDnsRecords':
      return { results: [] };
    case 'hcloud:index/getServerType:getServerType':
      return { architecture: 'x86', disk: 40, locations: [{ name: 'fsn1' }] };
    case 'hcloud:index/getSshKeys:getSshKeys':
      return { sshKeys: [] };
    case 'hcloud:index/getPrimaryIps:getPrimaryIps':
      return { primaryIps: [] };
    case 'hcloud:index/getFirewalls:getFirewalls':
      return { firewalls: [] };
    case 'hcloud:index/getVolumes:getVolumes':
      return { volumes: [] };
    case 'hcloud:index/getServers:getServers':
      return { servers: [] };
    case 'pulumi:pulumi:readStackResourceOutputs':
      return { outputs: state };
    default:
      return inputs;
  }
}

/**
 * Runs `build` under Pulumi's mocks and gives every resource that it registered, in order.
 *
 * @param preview inputs that only the provider knows stay unknown, as in a first preview
 * @param state what the stack has already
 * @param answers what the cloud tells otherwise; throws where it is to fail
 */
export async function record(
  build: (opts: pulumi.ComponentResourceOptions) => void,
  preview = false,
  state: StackState = {},
  answers: Answers = () => undefined,
): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  const options = new Map<string, pulumi.CustomResourceOptions>();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs, provider }) => {
        recorded.push({
          type,
          name,
          inputs: inputs as Record<string, unknown>,
          options: options.get(`${type} ${name}`) ?? {},
          provider,
        });
        return {
          id: preview ? undefined : `${recorded.length}`,
          state: { ...(inputs as object), ...computed[type], ...addressOf(type, inputs as object) },
        };
      },
      call: ({ token, inputs, provider }) =>
        answers(token, inputs as Record<string, unknown>, provider) ??
        answer(token, inputs as Record<string, unknown>, state),
    },
    'mailhost',
    'test',
    preview,
    'organization',
  );
  build({
    transformations: [
      ({ type, name, opts }) => {
        options.set(`${type} ${name}`, opts);
        return undefined;
      },
    ],
  });
  await pulumi.runtime.disconnect();
  return recorded;
}
