import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Backend } from '../../backend';
import { readJson, writeJson } from '../../jsonFile';
import { ApiError } from '../api';
import { zoneRecords } from './rdata';
import type { DnsRecord } from './record';
import { recordFrom } from './recordRules';
import { dnssecReport, type Zone } from './zone';

const dnssecChange = z.object({ status: z.enum(['active', 'disabled']).optional() });

/** The zones and records of one account, the same in memory, in the store and in the DNS. */
export class Account {
  readonly zones: Zone[];
  /** The last write: the next one waits for it, so that zones are published in the order of the answers. */
  private writing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly backend: Backend,
    private readonly storePath: string,
    names: string[],
  ) {
    const stored = readJson<Zone[]>(storePath, []);
    this.zones = names.map(
      (name) =>
        stored.find((zone) => zone.name === name) ?? {
          id: newId(),
          name,
          created_on: new Date().toISOString(),
          records: [],
        },
    );
    this.store();
  }

  /** @throws ApiError if no zone has that id */
  zone(id: string): Zone {
    const zone = this.zones.find((candidate) => candidate.id === id);
    if (zone !== undefined) return zone;
    const path = `/client/v4/zones/${id}`;
    throw new ApiError(
      404,
      7003,
      `Could not route to ${path}, perhaps your object identifier is invalid?`,
    );
  }

  /** @throws ApiError if no record of the zone has that id */
  record(zone: Zone, id: string): DnsRecord {
    const record = zone.records.find((candidate) => candidate.id === id);
    if (record === undefined) throw new ApiError(404, 81044, 'Record does not exist.');
    return record;
  }

  async publishAll(): Promise<void> {
    for (const zone of this.zones) {
      await this.backend.putZone(zone.name, zoneRecords(zone.name, zone.records));
      if (zone.dnssec) await this.backend.sign(zone.name, zone.dnssec.status === 'active');
    }
  }

  dnssec(zoneId: string) {
    const zone = this.zone(zoneId);
    return dnssecReport(zone, this.backend.dnssec(zone.name));
  }

  async setDnssec(zoneId: string, body: unknown) {
    const zone = this.zone(zoneId);
    const { status } = dnssecChange.parse(body);
    if (status !== undefined && status !== (zone.dnssec?.status ?? 'disabled')) {
      await this.backend.sign(zone.name, status === 'active');
      zone.dnssec = { status, modified_on: new Date().toISOString() };
      this.store();
    }
    return this.dnssec(zoneId);
  }

  create(zoneId: string, body: unknown): Promise<DnsRecord> {
    return this.write(zoneId, ({ name, records }) => {
      const made = { id: newId(), created_on: new Date().toISOString() };
      const record = recordFrom(body, name, records, made);
      return { result: record, records: [...records, record] };
    });
  }

  update(zoneId: string, id: string, body: (old: DnsRecord) => unknown): Promise<DnsRecord> {
    return this.write(zoneId, (zone) => {
      const old = this.record(zone, id);
      const others = zone.records.filter((candidate) => candidate !== old);
      const record = recordFrom(body(old), zone.name, others, old);
      const records = zone.records.map((candidate) => (candidate === old ? record : candidate));
      return { result: record, records };
    });
  }

  delete(zoneId: string, id: string): Promise<{ id: string }> {
    return this.write(zoneId, (zone) => {
      const old = this.record(zone, id);
      return { result: { id }, records: zone.records.filter((candidate) => candidate !== old) };
    });
  }

  private write<T>(
    zoneId: string,
    change: (zone: Zone) => { result: T; records: DnsRecord[] },
  ): Promise<T> {
    const written = this.writing.then(async () => {
      const zone = this.zone(zoneId);
      const { result, records } = change(zone);
      await this.backend.putZone(zone.name, zoneRecords(zone.name, records));
      zone.records = records;
      this.store();
      return result;
    });
    this.writing = written.catch(() => undefined);
    return written;
  }

  private store(): void {
    writeJson(this.storePath, this.zones);
  }
}

const newId = (): string => randomBytes(16).toString('hex');
