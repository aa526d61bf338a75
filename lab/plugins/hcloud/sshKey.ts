import { collection } from './collection';

export const sshKey = collection({
  path: 'ssh_keys',
  inputs: ['publicKey'],
  required: ['publicKey'],
  replaces: ['publicKey'],
  computed: ['fingerprint'],
  body: ({ publicKey }) => ({ public_key: publicKey }),
  outputs: (item) => ({ publicKey: item.public_key, fingerprint: item.fingerprint }),
});
