import { apiAccess } from '../../lab/apis';
import { waitFor, type Lab } from '../../lab/state';
import type { Finished } from './finished';

interface Named {
  id: number;
  name: string;
}
interface Action {
  id: number;
  status: 'running' | 'success' | 'error';
}

/** A bare Debian 13 by the lab's Hetzner Cloud API, at the addresses and behind the firewall of our stack's machine. */
export class BareMachine {
  constructor(private readonly lab: Lab) {}

  /** @returns the block device of its volume, as it sees it */
  async create({ hostName: name, userData, volumeSize }: Finished): Promise<string> {
    const [ips, firewalls, keys] = await Promise.all(
      ['primary_ips', 'firewalls', 'ssh_keys'].map((path) => this.list(path)),
    );
    const address = (family: string) => ips!.find((ip) => ip.name.endsWith(family))!.id;
    const where = { name, location: 'fsn1' };
    const [{ server }, { volume }] = await Promise.all([
      this.finish<{ server: Named }>('POST', 'servers', {
        ...where,
        server_type: 'cx23',
        image: 'debian-13',
        ssh_keys: keys!.map(({ id }) => id),
        user_data: userData,
        public_net: {
          enable_ipv4: true,
          ipv4: address('ipv4'),
          enable_ipv6: true,
          ipv6: address('ipv6'),
        },
        firewalls: firewalls!.map(({ id }) => ({ firewall: id })),
      }),
      this.finish<{ volume: Named & { linux_device: string } }>('POST', 'volumes', {
        ...where,
        size: volumeSize,
        format: 'ext4',
      }),
    ]);
    await this.finish('POST', `volumes/${volume.id}/actions/attach`, { server: server.id });
    return volume.linux_device;
  }

  /** Ends it with its volume, or those of our stack; addresses, firewall and DNS stay. */
  async delete(): Promise<void> {
    for (const { id } of await this.list('servers')) await this.finish('DELETE', `servers/${id}`);
    for (const { id } of await this.list('volumes')) await this.call('DELETE', `volumes/${id}`);
  }

  private async list(path: string): Promise<Named[]> {
    return (await this.call<Record<string, Named[]>>('GET', path))[path]!;
  }

  /** Waits for the end of what it begins. */
  private async finish<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.call<T & { action: Action }>(method, path, body);
    await waitFor(`the end of ${method} ${path}`, async () => {
      const { action } = await this.call<{ action: Action }>('GET', `actions/${answer.action.id}`);
      if (action.status === 'error') throw new Error(`${method} ${path} failed`);
      return action.status === 'success';
    });
    return answer;
  }

  private async call<T>(method: string, path: string, body?: object): Promise<T> {
    const { HCLOUD_ENDPOINT: base, HCLOUD_TOKEN: token } = apiAccess(this.lab);
    const response = await fetch(`${base}/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  }
}
