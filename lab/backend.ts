/** A machine as the Hetzner Cloud API is asked for it. */
export interface MachineSpec {
  id: number;
  name: string;
  image: string;
  /** cloud-init user data. */
  userData: string;
  /** Public keys in OpenSSH form. */
  authorizedKeys: string[];
  ipv4?: string;
  /** The address in use, `…::1` of the machine's /64. */
  ipv6?: string;
}

export interface FirewallRule {
  direction: 'in' | 'out';
  protocol: 'tcp' | 'udp' | 'icmp' | 'esp' | 'gre';
  /** One port or `first-last`; absent for protocols without ports. */
  port?: string;
  sourceIps: string[];
  destinationIps: string[];
}

/** One DNS record; `rdata` in presentation format. */
export interface ZoneRecord {
  name: string;
  type: string;
  ttl: number;
  rdata: string;
}

/** What the two cloud APIs are served from: the lab's machines, network and DNS. */
export interface Backend {
  network: { ipv4Pool: string[]; ipv6Networks: string[] };
  createMachine(spec: MachineSpec): Promise<void>;
  /** Gives a machine that was made before what it has to have when it is powered on. */
  connectMachine(id: number): Promise<void>;
  deleteMachine(id: number): Promise<void>;
  /** The addresses that a machine which is off has from its next boot on. */
  setAddresses(id: number, addresses: Pick<MachineSpec, 'ipv4' | 'ipv6'>): Promise<void>;
  powerOn(id: number): Promise<void>;
  powerOff(id: number): Promise<void>;
  shutdown(id: number): Promise<void>;
  reboot(id: number): Promise<void>;
  createVolume(volume: { id: number; sizeGb: number; format?: 'ext4' | 'xfs' }): Promise<void>;
  resizeVolume(id: number, sizeGb: number): Promise<void>;
  deleteVolume(id: number): Promise<void>;
  /** The volume appears in the machine at `/dev/disk/by-id/scsi-0HC_Volume_<id>`. */
  attachVolume(id: number, machineId: number): Promise<void>;
  detachVolume(id: number): Promise<void>;
  /** The rules in force on the machine's link; none means that nothing is filtered. */
  setFirewall(machineId: number, rules: FirewallRule[] | undefined): Promise<void>;
  setReverse(address: string, name: string | undefined): Promise<void>;
  putZone(zone: string, records: ZoneRecord[]): Promise<void>;
  /** Whether the zone's answers are signed. */
  sign(zone: string, signed: boolean): Promise<void>;
  /** The data of the zone's DS record, where it is signed, and whether the parent has that. */
  dnssec(zone: string): { ds?: string; delegated: boolean };
}
