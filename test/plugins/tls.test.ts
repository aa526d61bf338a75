import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSecret, official, open, Plugin, unknown, type Values } from './plugin';

describe('tls', () => {
  const types = {
    key: 'tls:index/privateKey:PrivateKey',
    selfSigned: 'tls:index/selfSignedCert:SelfSignedCert',
    request: 'tls:index/certRequest:CertRequest',
    signed: 'tls:index/locallySignedCert:LocallySignedCert',
  };
  let plugin: Plugin;
  beforeAll(async () => {
    plugin = await Plugin.start('tls', types.key);
  });
  afterAll(() => plugin.stop());

  const create = async (type: string, given: Values) => {
    const { inputs, failures } = await plugin.check(given, type);
    expect(failures).toEqual([]);
    const { state } = await plugin.create(inputs, false, type);
    return { inputs, state };
  };
  const ecKey = async () =>
    (await create(types.key, { algorithm: 'ECDSA', ecdsaCurve: 'P256' })).state.privateKeyPem;

  it.each([
    [{ algorithm: 'ED25519' }, 'ed25519', 'PRIVATE KEY', 'ssh-ed25519 '],
    [{ algorithm: 'RSA', rsaBits: 2048 }, 'rsa', 'RSA PRIVATE KEY', 'ssh-rsa '],
    [{ algorithm: 'ECDSA', ecdsaCurve: 'P384' }, 'ec', 'EC PRIVATE KEY', 'ecdsa-sha2-nistp384 '],
  ])('makes the key %o, its private forms secret', async (given, type, label, ssh) => {
    const { state } = await create(types.key, given);
    for (const form of ['privateKeyPem', 'privateKeyPemPkcs8', 'privateKeyOpenssh']) {
      expect(isSecret(state[form])).toBe(true);
    }
    const pem = open(state.privateKeyPem) as string;
    expect(pem).toContain(`-----BEGIN ${label}-----`);
    expect(pem).toMatch(/[^\n]\n$/);
    expect(createPrivateKey(pem).asymmetricKeyType).toBe(type);
    const pkcs8 = createPrivateKey(open(state.privateKeyPemPkcs8) as string);
    expect(pkcs8.equals(createPrivateKey(pem))).toBe(true);
    expect(state.publicKeyOpenssh).toMatch(new RegExp(`^${ssh}[^ ]+\n$`));
    expect(state.publicKeyFingerprintSha256).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('judges an algorithm once it is known', async () => {
    expect((await plugin.check({ algorithm: 'DSA' })).failures).toHaveLength(1);
    expect((await plugin.check({ algorithm: unknown })).failures).toEqual([]);
  });

  it('signs a certificate that verifies, by a CA of its own', async () => {
    const [caPrivateKeyPem, privateKeyPem] = [await ecKey(), await ecKey()];
    const ca = await create(types.selfSigned, {
      privateKeyPem: caPrivateKeyPem,
      subject: { commonName: 'CA' },
      isCaCertificate: true,
      allowedUses: ['cert_signing'],
      validityPeriodHours: 48,
    });
    const request = await create(types.request, {
      privateKeyPem,
      subject: { commonName: 'mail.example.org' },
      dnsNames: ['mail.example.org'],
    });
    const { state } = await create(types.signed, {
      certRequestPem: request.state.certRequestPem,
      caPrivateKeyPem,
      caCertPem: ca.state.certPem,
      allowedUses: ['digital_signature', 'server_auth'],
      validityPeriodHours: 24,
    });
    expect([isSecret(ca.state.privateKeyPem), isSecret(state.caPrivateKeyPem)]).toEqual([
      true,
      true,
    ]);
    const issuer = new X509Certificate(ca.state.certPem as string);
    const certificate = new X509Certificate(state.certPem as string);
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.checkIssued(issuer)).toBe(true);
    expect(certificate.checkHost('mail.example.org')).toBe('mail.example.org');
    expect([issuer.ca, certificate.ca]).toEqual([true, false]);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const hours = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
    expect(hours / 3_600_000).toBe(24);
  });

  it('replaces for every input but the hours of early renewal, and when these have come', async () => {
    const { inputs, state } = await create(types.selfSigned, {
      privateKeyPem: await ecKey(),
      allowedUses: [],
      validityPeriodHours: 24,
    });
    const change = (after: Values) =>
      plugin.diff(inputs, { ...inputs, ...after }, state, types.selfSigned);
    expect((await change({ allowedUses: ['server_auth'] })).replaces).toEqual(['allowedUses']);
    expect(await change({ earlyRenewalHours: 23 })).toMatchObject({
      details: { earlyRenewalHours: 'ADD' },
      replaces: [],
    });
    expect(await change({ earlyRenewalHours: 24 })).toMatchObject({
      details: { readyForRenewal: 'UPDATE_REPLACE' },
      replaces: ['readyForRenewal'],
    });
    const refresh = (hours: number) =>
      plugin.read('1', { ...state, earlyRenewalHours: hours }, inputs, types.selfSigned);
    expect((await refresh(23)).state.readyForRenewal).toBe(false);
    expect((await refresh(24)).state.readyForRenewal).toBe(true);
  });

  it('goes on with what the official plugin left', async () => {
    const { inputs, state } = await create(types.selfSigned, {
      privateKeyPem: await ecKey(),
      allowedUses: ['cert_signing'],
      validityPeriodHours: 24,
    });
    const names = ['subject', 'dnsNames', 'ipAddresses', 'uris', 'earlyRenewalHours'];
    const [was, then] = [official(inputs, names), official(state, names)];
    expect((await plugin.diff(was, inputs, then, types.selfSigned)).details).toEqual({});
    const read = await plugin.read('1', then, was, types.selfSigned);
    expect(read.state).toMatchObject({ readyForRenewal: false });
    await plugin.update('1', then, { ...inputs, earlyRenewalHours: 1 }, false, types.selfSigned);
    await plugin.delete('1', then, types.selfSigned);
  });

  it('imports nothing', async () => {
    await expect(plugin.read('1')).rejects.toThrow('cannot be imported');
  });
});
