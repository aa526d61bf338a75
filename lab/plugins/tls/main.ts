import 'reflect-metadata';
import { createHash, createPrivateKey, createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { utils } from 'ssh2';
import type { Made, ResourceKind } from '../resource';
import { serve } from '../resourceProvider';
import type { Properties } from '../values';
import { wholePair } from './wholePair';

type Curve = 'P256' | 'P384' | 'P521';
const curveBits: Record<Curve, 256 | 384 | 521> = { P256: 256, P384: 384, P521: 521 };

const sha1 = (data: string | Buffer) => createHash('sha1').update(data).digest('hex');

const privateKey: ResourceKind = {
  inputs: ['algorithm', 'rsaBits', 'ecdsaCurve'],
  required: ['algorithm'],
  replaces: ['algorithm', 'rsaBits', 'ecdsaCurve'],
  computed: [
    'privateKeyPem',
    'privateKeyPemPkcs8',
    'privateKeyOpenssh',
    'publicKeyPem',
    'publicKeyOpenssh',
    'publicKeyFingerprintMd5',
    'publicKeyFingerprintSha256',
  ],
  secrets: ['privateKeyPem', 'privateKeyPemPkcs8', 'privateKeyOpenssh'],
  outputDefaults: { rsaBits: 2048, ecdsaCurve: 'P224' },
  check: ({ algorithm, ecdsaCurve }) => ({
    ...(!['RSA', 'ECDSA', 'ED25519'].includes(algorithm as string) && {
      algorithm: 'must be RSA, ECDSA or ED25519',
    }),
    ...(algorithm === 'ECDSA' &&
      !((ecdsaCurve as string) in curveBits) && {
        ecdsaCurve: 'the stand-in plugin knows P256, P384 and P521',
      }),
  }),
  create: (inputs) => Promise.resolve(createKey(inputs)),
};

function createKey({ algorithm, rsaBits, ecdsaCurve }: Properties): Made {
  const { pair, parsed } = wholePair(() =>
    algorithm === 'RSA'
      ? utils.generateKeyPairSync('rsa', { bits: rsaBits as number })
      : algorithm === 'ECDSA'
        ? utils.generateKeyPairSync('ecdsa', { bits: curveBits[ecdsaCurve as Curve] })
        : utils.generateKeyPairSync('ed25519'),
  );
  const key = createPrivateKey(parsed.getPrivatePEM());
  const publicKey = createPublicKey(key);
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const wire = parsed.getPublicSSH();
  const md5 = createHash('md5').update(wire).digest('hex');
  const sha256 = createHash('sha256').update(wire).digest('base64');
  return {
    id: sha1(der),
    outputs: {
      privateKeyPem: line(parsed.getPrivatePEM()),
      privateKeyPemPkcs8: key.export({ type: 'pkcs8', format: 'pem' }),
      privateKeyOpenssh: line(pair.private),
      publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }),
      publicKeyOpenssh: line(pair.public),
      publicKeyFingerprintMd5: md5.replace(/..(?!$)/g, '$&:'),
      publicKeyFingerprintSha256: `SHA256:${sha256.replace(/=+$/, '')}`,
    },
  };
}

/** PEM text ends in one newline. */
const line = (text: string) => `${text.trimEnd()}\n`;

// ---- certificates ----

const uses: Record<string, x509.KeyUsageFlags> = {
  digital_signature: x509.KeyUsageFlags.digitalSignature,
  content_commitment: x509.KeyUsageFlags.nonRepudiation,
  key_encipherment: x509.KeyUsageFlags.keyEncipherment,
  data_encipherment: x509.KeyUsageFlags.dataEncipherment,
  key_agreement: x509.KeyUsageFlags.keyAgreement,
  cert_signing: x509.KeyUsageFlags.keyCertSign,
  crl_signing: x509.KeyUsageFlags.cRLSign,
};
const extendedUses: Record<string, x509.ExtendedKeyUsageType> = {
  server_auth: x509.ExtendedKeyUsage.serverAuth,
  client_auth: x509.ExtendedKeyUsage.clientAuth,
  code_signing: x509.ExtendedKeyUsage.codeSigning,
  email_protection: x509.ExtendedKeyUsage.emailProtection,
  timestamping: x509.ExtendedKeyUsage.timeStamping,
  ocsp_signing: x509.ExtendedKeyUsage.ocspSigning,
};

interface Signer {
  keys: webcrypto.CryptoKeyPair;
  algorithm: webcrypto.RsaHashedImportParams | webcrypto.EcdsaParams;
  /** As the plugin names it in its outputs. */
  name: 'RSA' | 'ECDSA';
}

const curves: Record<string, { namedCurve: string; hash: string }> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};

/** Keys of a PEM, of whatever form, for the Web Crypto API. */
async function signer(pem: unknown): Promise<Signer> {
  const key = createPrivateKey(pem as string);
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType !== 'rsa' && curve === undefined) {
    throw new Error('the stand-in plugin signs with RSA, P256, P384 and P521 only');
  }
  const form = curve ? { name: 'ECDSA', ...curve } : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const { subtle } = webcrypto;
  const privateDer = key.export({ type: 'pkcs8', format: 'der' });
  const publicDer = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const [privateKey, publicKey] = await Promise.all([
    subtle.importKey('pkcs8', privateDer, form, true, ['sign']),
    subtle.importKey('spki', publicDer, form, true, ['verify']),
  ]);
  return {
    keys: { privateKey, publicKey },
    algorithm: { name: form.name, hash: form.hash },
    name: curve ? 'ECDSA' : 'RSA',
  };
}

/** Attribute types by the plugin's names, in the order of the encoded name. */
const subjectFields: Record<string, string> = {
  country: 'C',
  organization: 'O',
  organizationalUnit: 'OU',
  locality: 'L',
  province: 'ST',
  commonName: 'CN',
};

const subject = (value: unknown): x509.JsonName =>
  Object.entries(subjectFields).flatMap(([field, type]) => {
    const text = (value as Record<string, string> | undefined)?.[field];
    return text === undefined ? [] : [{ [type]: [text] }];
  });

function alternativeNames(inputs: Properties): x509.Extension[] {
  const of = (type: 'dns' | 'ip' | 'url', list: unknown) =>
    ((list ?? []) as string[]).map((value) => ({ type, value }));
  const names = [
    ...of('dns', inputs.dnsNames),
    ...of('ip', inputs.ipAddresses),
    ...of('url', inputs.uris),
  ];
  return names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [];
}

function usage(inputs: Properties): x509.Extension[] {
  const allowed = inputs.allowedUses as string[];
  const flags = allowed.reduce((all, use) => all | (uses[use] ?? 0), 0);
  const extended = allowed.flatMap((use) => extendedUses[use] ?? []);
  return [
    ...(flags ? [new x509.KeyUsagesExtension(flags, true)] : []),
    ...(extended.length > 0 ? [new x509.ExtendedKeyUsageExtension(extended)] : []),
    new x509.BasicConstraintsExtension(inputs.isCaCertificate === true, undefined, true),
  ];
}

function check(inputs: Properties): Record<string, string> {
  const strangeUses = ((inputs.allowedUses ?? []) as string[]).filter(
    (use) => !(use in uses) && !(use in extendedUses),
  );
  const strangeFields = Object.keys(inputs.subject ?? {}).filter((f) => !(f in subjectFields));
  return {
    ...(strangeUses.length > 0 && {
      allowedUses: `the stand-in plugin has no use ${strangeUses.join(', ')}`,
    }),
    ...(strangeFields.length > 0 && {
      subject: `the stand-in plugin has no field ${strangeFields.join(', ')}`,
    }),
  };
}

async function issue(
  inputs: Properties,
  issuer: Signer,
  issuerName: x509.JsonName | x509.Name,
  holder: { publicKey: x509.PublicKeyType; subject: x509.JsonName | x509.Name },
  extensions: x509.Extension[],
): Promise<Made> {
  const start = new Date(Math.floor(Date.now() / 1000) * 1000);
  const end = new Date(start.getTime() + (inputs.validityPeriodHours as number) * 3_600_000);
  const serialNumber = randomBytes(16);
  serialNumber[0]! &= 0x7f;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber.toString('hex'),
    issuer: issuerName,
    subject: holder.subject,
    notBefore: start,
    notAfter: end,
    publicKey: holder.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: issuer.algorithm,
    extensions: [
      ...extensions,
      ...usage(inputs),
      ...(inputs.setSubjectKeyId === true || inputs.isCaCertificate === true
        ? [await x509.SubjectKeyIdentifierExtension.create(holder.publicKey)]
        : []),
    ],
  });
  const seconds = (date: Date) => date.toISOString().replace('.000', '');
  return {
    id: BigInt(`0x${certificate.serialNumber}`).toString(),
    outputs: {
      certPem: line(certificate.toString('pem')),
      validityStartTime: seconds(start),
      validityEndTime: seconds(end),
      readyForRenewal: false,
    },
  };
}

/** A certificate is made again once it is in its last `earlyRenewalHours`. */
function due({ earlyRenewalHours = 0 }: Properties, { validityEndTime }: Properties): boolean {
  const early = (earlyRenewalHours as number) * 3_600_000;
  return Date.now() >= Date.parse(validityEndTime as string) - early;
}

const named = ['subject', 'dnsNames', 'ipAddresses', 'uris', 'privateKeyPem'];
const validity = ['allowedUses', 'isCaCertificate', 'setSubjectKeyId', 'validityPeriodHours'];

/** What the two kinds of certificate have in common. */
const certificateKind = (
  inputs: string[],
  required: string[],
  secret: string,
  computed: string,
) => ({
  inputs: [...inputs, ...validity, 'earlyRenewalHours'],
  required: [...required, 'allowedUses', 'validityPeriodHours'],
  replaces: [...inputs, ...validity],
  computed: ['certPem', 'readyForRenewal', 'validityStartTime', 'validityEndTime', computed],
  secrets: [secret],
  outputDefaults: { earlyRenewalHours: 0, isCaCertificate: false, setSubjectKeyId: false },
  check,
  outdated: (wanted: Properties, state: Properties) =>
    due(wanted, state) ? ['readyForRenewal'] : [],
  update: () => Promise.resolve({}),
  read: (id: string, state: Properties) => {
    if (state.certPem === undefined) throw new Error('a certificate cannot be imported');
    return Promise.resolve({ id, outputs: { ...state, readyForRenewal: due(state, state) } });
  },
});

const selfSignedCert: ResourceKind = {
  ...certificateKind(named, ['privateKeyPem'], 'privateKeyPem', 'keyAlgorithm'),
  create: async (inputs) => {
    const own = await signer(inputs.privateKeyPem);
    const name = subject(inputs.subject);
    const holder = { publicKey: own.keys.publicKey, subject: name };
    const made = await issue(inputs, own, name, holder, alternativeNames(inputs));
    return { ...made, outputs: { ...made.outputs, keyAlgorithm: own.name } };
  },
};

const certRequest: ResourceKind = {
  inputs: named,
  required: ['privateKeyPem'],
  replaces: named,
  computed: ['certRequestPem', 'keyAlgorithm'],
  secrets: ['privateKeyPem'],
  check,
  create: async (inputs) => {
    const own = await signer(inputs.privateKeyPem);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: subject(inputs.subject),
      keys: own.keys,
      signingAlgorithm: own.algorithm,
      extensions: alternativeNames(inputs),
    });
    const certRequestPem = line(request.toString('pem'));
    return { id: sha1(certRequestPem), outputs: { certRequestPem, keyAlgorithm: own.name } };
  },
};

/** Its object identifier. */
const subjectAltName = '2.5.29.17';

const requestInputs = ['certRequestPem', 'caPrivateKeyPem', 'caCertPem'];

const locallySignedCert: ResourceKind = {
  ...certificateKind(requestInputs, requestInputs, 'caPrivateKeyPem', 'caKeyAlgorithm'),
  create: async (inputs) => {
    const ca = await signer(inputs.caPrivateKeyPem);
    const caCertificate = new x509.X509Certificate(inputs.caCertPem as string);
    const request = new x509.Pkcs10CertificateRequest(inputs.certRequestPem as string);
    const names = request.getExtension(subjectAltName);
    const caKeyId = caCertificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
    const holder = { publicKey: request.publicKey, subject: request.subjectName };
    const made = await issue(inputs, ca, caCertificate.subjectName, holder, [
      ...(names ? [names] : []),
      ...(caKeyId === undefined ? [] : [new x509.AuthorityKeyIdentifierExtension(caKeyId)]),
    ]);
    return { ...made, outputs: { ...made.outputs, caKeyAlgorithm: ca.name } };
  },
};

serve({
  name: 'tls',
  version: '5.6.1',
  resources: {
    'tls:index/privateKey:PrivateKey': privateKey,
    'tls:index/selfSignedCert:SelfSignedCert': selfSignedCert,
    'tls:index/certRequest:CertRequest': certRequest,
    'tls:index/locallySignedCert:LocallySignedCert': locallySignedCert,
  },
});
