import { createHash } from 'node:crypto';
import { z } from 'zod';
import { collection, created, idOf, type Hcloud } from './collection';

const creation = created.extend({ public_key: z.string() });

/** MD5, as pairs of hexadecimal digits. */
function fingerprintOf(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return createHash('md5')
    .update(blob)
    .digest('hex')
    .replace(/..(?!$)/g, '$&:');
}

export function sshKeys(cloud: Hcloud): void {
  const { app, account } = cloud;
  collection(cloud, 'ssh_keys', (key) => key);
  app.post('/v1/ssh_keys', (request) => {
    const body = creation.parse(request.body);
    const { public_key } = body;
    const fingerprint = fingerprintOf(public_key);
    return { ssh_key: account.add('ssh_keys', body, { public_key, fingerprint }) };
  });
  app.delete('/v1/ssh_keys/:id', (request, reply) => {
    account.remove('ssh_keys', account.find('ssh_keys', idOf(request)));
    return reply.status(204).send();
  });
}
