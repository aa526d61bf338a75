import { Machine, type OpenPort } from 'mailhost';

const { ipv4, ipv6, sshHostKey, sshPrivateKey, volumeDevice, serverId } = new Machine('vm', {
  hostName: 'mail.example.org',
  serverType: 'cx23',
  location: 'fsn1',
  volumeSize: 20,
  ipv6: true,
  adminNetworks: ['192.0.2.0/24'],
  ports: [
    { number: 22, purpose: 'ssh', from: 'admins' },
    ...[25, 80, 443, 465, 587, 993, 4190].map((number): OpenPort => ({
      number,
      purpose: 'mail',
      from: 'everyone',
    })),
  ],
});
const machine = { ipv4, ipv6, sshHostKey, sshPrivateKey, volumeDevice, serverId };

export { machine };
