import { ApiError } from '../api';
import type { Account, Action } from './account';

/** The actions of an account; one at a time runs on an item. */
export class Actions {
  private readonly busy = new Set<string>();

  constructor(private readonly account: Account) {}

  isRunningOn(type: string, id: number): boolean {
    return this.busy.has(`${type} ${id}`);
  }

  /** @throws ApiError while an action runs on the item */
  mustBeFree(type: string, id: number): void {
    if (this.isRunningOn(type, id))
      throw new ApiError(423, 'locked', `${type} is locked by a running action`);
  }

  /**
   * Starts work on an item.
   *
   * @param type of the item, e.g. `server`
   * @throws ApiError while an action runs on the item
   */
  begin(command: string, type: string, id: number, work: () => Promise<void>): Action {
    this.mustBeFree(type, id);
    this.busy.add(`${type} ${id}`);
    const action: Action = {
      id: this.account.newId(),
      command,
      status: 'running',
      progress: 0,
      started: new Date().toISOString(),
      finished: null,
      resources: [{ id, type }],
      error: null,
    };
    this.account.actions.push(action);
    const end = (status: Action['status'], error: Action['error']) => {
      const finished = new Date().toISOString();
      Object.assign(action, { status, error, progress: 100, finished });
      this.busy.delete(`${type} ${id}`);
      this.account.save();
    };
    work().then(
      () => end('success', null),
      (error: unknown) => {
        console.error(error);
        end('error', { code: 'action_failed', message: String(error) });
      },
    );
    return action;
  }
}
