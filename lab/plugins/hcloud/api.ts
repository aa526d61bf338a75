import { setTimeout as sleep } from 'node:timers/promises';
import type { Action } from '../../cloud/hcloud/account';
import { HttpApi } from '../httpApi';

export const api = new HttpApi('https://api.hetzner.cloud/v1', {
  retries: 5,
  firstWait: 1000,
  longestWait: 60_000,
  passes: ({ path, status = 0, code = '' }) =>
    [502, 504].includes(status) ||
    ['conflict', 'rate_limit_exceeded', 'bad_gateway', 'timeout'].includes(code) ||
    (code === 'locked' && /^\/volumes(\/\d+\/actions\/(attach|detach))?$/.test(path)),
});

/** An item of any collection as the API reports it. */
export type Item = Record<string, unknown> & { id: number };

/** The items of a collection that match the query. */
export async function list<T extends object = Item>(
  collection: string,
  query: Record<string, string>,
): Promise<T[]> {
  const path = `/${collection}?${new URLSearchParams(query)}`;
  return (await api.call<Record<string, T[]>>('GET', path))[collection]!;
}

export interface WithActions {
  action?: Action | null;
  actions?: Action[];
  next_actions?: Action[];
}

/** Waits until all work that the API began has ended. */
export async function settle(answer: WithActions): Promise<void> {
  const actions = [answer.action, ...(answer.actions ?? []), ...(answer.next_actions ?? [])];
  for (let action of actions) {
    while (action?.status === 'running') {
      await sleep(100);
      action = (await api.call<{ action: Action }>('GET', `/actions/${action.id}`)).action;
    }
    if (action?.status === 'error') throw new Error(action.error?.message ?? 'the action failed');
  }
}

/** Has the API do something with an item, and waits until it is done. */
export async function act(path: string, body: object = {}): Promise<void> {
  await settle(await api.call<WithActions>('POST', path, body));
}
