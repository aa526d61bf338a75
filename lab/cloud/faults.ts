import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { readJson, writeJson } from '../jsonFile';
import type { Lab } from '../state';

/** What a cloud API does wrong, a few times. */
export interface Fault {
  api: 'hcloud' | 'cloudflare';
  method: string;
  /** Pattern of the path, behind the version. */
  path: string;
  /** Whether the work is done before the answer goes wrong. */
  done: boolean;
  /** The status that is answered instead; none cuts the connection. */
  status?: 412 | 423 | 429 | 500 | 504;
  /** Seconds of silence before that. */
  silence?: number;
  times: number;
  /** How many such requests go well before. Default: none. */
  after?: number;
}

const fileOf = (lab: Lab) => join(lab.dir, 'faults.json');

/** From now on; an empty list ends them all. */
export const setFaults = (lab: Lab, faults: Fault[]): void => writeJson(fileOf(lab), faults);

/** Those that are left. */
export const faultsLeft = (lab: Lab): Fault[] => readJson(fileOf(lab), []);

const codes = {
  412: 'resource_unavailable',
  423: 'locked',
  429: 'rate_limit_exceeded',
  500: 'server_error',
  504: 'timeout',
};

/** Makes an API do wrong what the lab is told. */
export function injectFaults(app: FastifyInstance, api: Fault['api'], lab: Lab): void {
  const chosen = new WeakMap<FastifyRequest, Fault>();
  const spoil = async (fault: Fault, request: FastifyRequest, reply: FastifyReply) => {
    await sleep((fault.silence ?? 0) * 1000);
    if (fault.status === undefined) {
      request.raw.socket.destroy();
      return '';
    }
    const code = codes[fault.status];
    const error = { code, message: code };
    void reply.code(fault.status).type('application/json');
    return JSON.stringify({ error, success: false, errors: [error], result: null });
  };
  app.addHook('onRequest', async (request, reply) => {
    const faults = faultsLeft(lab);
    const path = request.url.replace(/^\/(client\/)?v\d+|\?.*$/g, '');
    const fault = faults.find(
      (f) =>
        f.api === api &&
        f.times > 0 &&
        f.method === request.method &&
        new RegExp(`^${f.path}$`).test(path),
    );
    if (fault === undefined) return;
    const isLater = (fault.after ?? 0) > 0;
    if (isLater) fault.after!--;
    else fault.times--;
    setFaults(lab, faults);
    if (isLater) return;
    if (fault.done) chosen.set(request, fault);
    else await reply.send(await spoil(fault, request, reply));
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const fault = chosen.get(request);
    // What failed by itself tells so.
    return fault === undefined || reply.statusCode >= 400 ? payload : spoil(fault, request, reply);
  });
}
