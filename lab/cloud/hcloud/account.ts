import type { FirewallRule } from '../../backend';
import { readJson, writeJson } from '../../jsonFile';
import { ApiError } from '../api';

/** What all items have. */
export interface Item {
  id: number;
  name: string;
  labels: Record<string, string>;
  created: string;
}
interface ProtectedItem extends Item {
  protection: { delete: boolean; rebuild?: boolean };
}
export interface SshKey extends Item {
  public_key: string;
  fingerprint: string;
}
export interface PrimaryIp extends ProtectedItem {
  type: 'ipv4' | 'ipv6';
  /** An IPv4 address, or an IPv6 network as `ADDRESS/64`. */
  ip: string;
  /** The server that has it. */
  assignee_id: number | null;
  auto_delete: boolean;
  location: string;
  dns_ptr: { ip: string; dns_ptr: string }[];
}
export interface Volume extends ProtectedItem {
  /** GB. */
  size: number;
  location: string;
  format: 'ext4' | 'xfs' | null;
  server: number | null;
}
/** A firewall rule as the API reports it. */
export interface Rule extends Pick<FirewallRule, 'direction' | 'protocol'> {
  port: string | null;
  source_ips: string[];
  destination_ips: string[];
  description: string | null;
}
export interface Firewall extends Item {
  rules: Rule[];
  servers: number[];
}
export interface Server extends ProtectedItem {
  status: 'running' | 'off';
  serverType: string;
  image: string;
  location: string;
}

/** Work on an item that goes on after the answer; the client polls until it has ended. */
export interface Action {
  id: number;
  command: string;
  status: 'running' | 'success' | 'error';
  progress: number;
  started: string;
  finished: string | null;
  resources: { id: number; type: string }[];
  error: { code: string; message: string } | null;
}

/** The collections of an account, by their names in paths and answers. */
export interface Collections {
  ssh_keys: SshKey;
  primary_ips: PrimaryIp;
  volumes: Volume;
  firewalls: Firewall;
  servers: Server;
}
export type Collection = keyof Collections;

interface Stored {
  nextId: number;
  items: { [C in Collection]: Collections[C][] };
  actions: Action[];
}

const empty = (): Stored => ({
  nextId: 1,
  items: { ssh_keys: [], primary_ips: [], volumes: [], firewalls: [], servers: [] },
  actions: [],
});

/** The items and actions of one account, kept in a JSON file. */
export class Account {
  private readonly stored: Stored;

  /** @param path of the file; made at the first `save` if it does not exist */
  constructor(private readonly path: string) {
    this.stored = readJson(path, empty());
  }

  get items(): Stored['items'] {
    return this.stored.items;
  }

  get actions(): Action[] {
    return this.stored.actions;
  }

  save(): void {
    writeJson(this.path, this.stored);
  }

  newId(): number {
    return this.stored.nextId++;
  }

  /** @throws ApiError if no item of the collection has that id */
  find<C extends Collection>(collection: C, id: number): Collections[C] {
    const found = this.items[collection].find((item) => item.id === id);
    if (found === undefined)
      throw new ApiError(404, 'not_found', `${collection} with ID ${id} not found`);
    return found;
  }

  /** @throws ApiError if another item of the collection has the name */
  add<C extends Collection>(
    collection: C,
    { name, labels }: Pick<Item, 'name' | 'labels'>,
    fields: Omit<Collections[C], keyof Item>,
  ): Collections[C] {
    if (this.items[collection].some((item) => item.name === name))
      throw new ApiError(409, 'uniqueness_error', `${collection} name is already used`);
    const created = new Date().toISOString();
    const item = { id: this.newId(), name, labels, created, ...fields } as Collections[C];
    this.items[collection].push(item);
    return item;
  }

  remove<C extends Collection>(collection: C, item: Collections[C]): void {
    const items = this.items[collection];
    const place = items.indexOf(item);
    if (place >= 0) items.splice(place, 1);
  }
}

/** @throws ApiError if the item is protected from deletion */
export function mustBeDeletable({ protection }: ProtectedItem): void {
  if (protection.delete)
    throw new ApiError(423, 'protected', 'resource is protected from deletion');
}
