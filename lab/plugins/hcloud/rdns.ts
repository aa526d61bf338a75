import type { PrimaryIp } from '../../cloud/hcloud/account';
import type { ResourceKind } from '../resource';
import type { Properties } from '../values';
import { act, api } from './api';

/** The PTR of an address has no item of its own: its id is `p-<primary IP>-<address>`. */
export const rdns: ResourceKind = {
  inputs: ['primaryIpId', 'ipAddress', 'dnsPtr'],
  required: ['primaryIpId', 'ipAddress', 'dnsPtr'],
  replaces: ['primaryIpId', 'ipAddress'],
  computed: [],
  create: async (inputs) => {
    await setPointer(inputs);
    return { id: `p-${String(inputs.primaryIpId)}-${String(inputs.ipAddress)}`, outputs: {} };
  },
  update: async (_id, inputs) => {
    await setPointer(inputs);
    return {};
  },
  delete: async (id, state) => {
    if (await readPointer(id)) await setPointer({ ...state, dnsPtr: null });
  },
  read: readPointer,
};

async function setPointer({ primaryIpId, ipAddress: ip, dnsPtr: dns_ptr }: Properties) {
  await act(`/primary_ips/${String(primaryIpId)}/actions/change_dns_ptr`, { ip, dns_ptr });
}

async function readPointer(id: string) {
  const [, primaryIpId, ipAddress] = /^p-(\d+)-(.+)$/.exec(id) ?? [];
  const found = await api.find<{ primary_ip: PrimaryIp }>(`/primary_ips/${primaryIpId}`);
  const pointer = found?.primary_ip.dns_ptr.find(({ ip }) => ip === ipAddress);
  return (
    pointer && {
      id,
      outputs: { primaryIpId: Number(primaryIpId), ipAddress, dnsPtr: pointer.dns_ptr },
    }
  );
}
