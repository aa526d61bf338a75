import { createServer } from 'node:http';
import { Machines } from './machines';
import { metadataAddress } from './network';
import { currentLab } from './state';

/** Hetzner's metadata service: gives a machine its own user data. Runs in the router's network namespace. */
const lab = currentLab();
const machines = new Machines(lab);

createServer((request, response) => {
  const from = request.socket.remoteAddress;
  const spec = machines
    .ids()
    .map((id) => machines.spec(id))
    .find(({ ipv4 }) => ipv4 === from);
  const answers: Record<string, string | undefined> = {
    '/hetzner/v1/userdata': spec?.userData,
    '/hetzner/v1/metadata/hostname': spec?.name,
    '/hetzner/v1/metadata/instance-id': spec && String(spec.id),
  };
  const answer = answers[request.url ?? ''];
  response
    .writeHead(answer === undefined ? 404 : 200, { 'content-type': 'text/plain' })
    .end(answer ?? 'not found\n');
}).listen(80, metadataAddress);
