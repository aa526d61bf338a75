import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import fastify, { type FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Backend, ZoneRecord } from '../backend';

const dataSchema = z.object({
  flags: z.number().int().optional(),
  tag: z.string().optional(),
  value: z.string().optional(),
  priority: z.number().int().optional(),
  weight: z.number().int().optional(),
  port: z.number().int().optional(),
  target: z.string().optional(),
  usage: z.number().int().optional(),
  selector: z.number().int().optional(),
  matching_type: z.number().int().optional(),
  certificate: z.string().optional(),
});

const recordSchema = z.object({
  type: z.string(),
  name: z.string(),
  content: z.string().optional(),
  data: dataSchema.nullish(),
  priority: z.number().int().min(0).max(65535).optional(),
  ttl: z.number().int().default(1),
  proxied: z.boolean().default(false),
  comment: z.string().nullable().default(null),
  tags: z.array(z.string()).default([]),
  settings: z.record(z.string(), z.unknown()).default({}),
});

type RecordInput = z.output<typeof recordSchema>;

interface DnsRecord extends RecordInput {
  id: string;
  content: string;
  proxiable: boolean;
  meta: Record<string, never>;
  created_on: string;
  modified_on: string;
  comment_modified_on?: string;
}

interface Zone {
  id: string;
  name: string;
  created_on: string;
  records: DnsRecord[];
  /** What was last asked for. */
  dnssec?: { status: 'active' | 'disabled'; modified_on: string };
}

/** The name servers that each zone is delegated to. */
export const nameServers = ['ada.ns.lab-cloud.example', 'bob.ns.lab-cloud.example'];

/** An error as the API tells it; the codes are Cloudflare's. */
class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly chain?: { code: number; message: string },
  ) {
    super(message);
  }
}

/**
 * The part of the Cloudflare API v4 that a mail host's DNS needs, below `/client/v4`: zones (list, get), their DNS
 * records and DNSSEC. The one API token may do everything. Each write is answered only after
 * `backend.putZone` has published the zone; where that fails, nothing has changed.
 *
 * @param storePath JSON file that keeps zones and records over a restart; made if it does not exist
 * @param token the one that is let in
 * @param zones names of the zones in the account, in A-label form
 * @see https://developers.cloudflare.com/api/resources/dns/subresources/records/
 */
export function cloudflareApi(
  backend: Backend,
  storePath: string,
  token: string,
  zones: string[],
): FastifyInstance {
  const account = new Account(backend, storePath, zones);
  const app = fastify({ routerOptions: { maxParamLength: 200 } });

  app.addHook('onReady', () => account.publishAll());
  app.addHook('onRequest', (request, _reply, done) => {
    done(authorizationError(request.headers.authorization, token));
  });
  app.setNotFoundHandler((request) => {
    throw new ApiError(404, 7000, `No route for that URI: ${request.method} ${request.url}`);
  });
  app.setErrorHandler((error, _request, reply) => {
    const { status, code, message, chain } = asApiError(error);
    return reply.code(status).send({
      success: false,
      errors: [{ code, message, ...(chain && { error_chain: [chain] }) }],
      messages: [],
      result: null,
    });
  });

  app.register(
    (api, _options, done) => {
      api.get('/zones', (request) => {
        const query = zoneQuery.parse(request.query);
        const found = account.zones.filter(
          (zone) =>
            (query.name === undefined || zone.name === ascii(query.name)) &&
            (query.status === undefined || query.status === 'active'),
        );
        return page(found.map(zoneResult), query);
      });
      api.get<ZoneParams>('/zones/:zone', (request) =>
        success(zoneResult(account.zone(request.params.zone))),
      );
      api.get<ZoneParams>('/zones/:zone/dns_records', (request) => {
        const query = recordQuery.parse(request.query);
        const name = query['name.exact'] ?? query.name;
        const content = query['content.exact'] ?? query.content;
        const found = account
          .zone(request.params.zone)
          .records.filter(
            (record) =>
              (name === undefined || record.name === ascii(name)) &&
              (content === undefined || record.content === content) &&
              (query.type === undefined || record.type === query.type),
          );
        return page(found, query);
      });
      api.post<ZoneParams>('/zones/:zone/dns_records', async (request) =>
        success(await account.create(request.params.zone, request.body)),
      );
      api.get<RecordParams>('/zones/:zone/dns_records/:record', (request) =>
        success(account.record(account.zone(request.params.zone), request.params.record)),
      );
      api.put<RecordParams>('/zones/:zone/dns_records/:record', async ({ params, body }) =>
        success(await account.update(params.zone, params.record, () => body)),
      );
      api.patch<RecordParams>('/zones/:zone/dns_records/:record', async ({ params, body }) =>
        success(
          await account.update(params.zone, params.record, (old) => ({
            ...old,
            ...z.record(z.string(), z.unknown()).parse(body),
          })),
        ),
      );
      api.delete<RecordParams>('/zones/:zone/dns_records/:record', async ({ params }) =>
        success(await account.delete(params.zone, params.record)),
      );
      api.get<ZoneParams>('/zones/:zone/dnssec', ({ params }) =>
        success(account.dnssec(account.zone(params.zone))),
      );
      api.patch<ZoneParams>('/zones/:zone/dnssec', async ({ params, body }) =>
        success(await account.setDnssec(params.zone, body)),
      );
      api.delete<ZoneParams>('/zones/:zone/dnssec', async ({ params }) => {
        await account.setDnssec(params.zone, { status: 'disabled' });
        return success('');
      });
      done();
    },
    { prefix: '/client/v4' },
  );
  return app;
}

interface ZoneParams {
  Params: { zone: string };
}

interface RecordParams {
  Params: { zone: string; record: string };
}

const dnssecSchema = z.object({ status: z.enum(['active', 'disabled']).optional() });

const pageQuery = z.object({ page: z.coerce.number().int().min(1).default(1) });
const zoneQuery = pageQuery.extend({
  name: z.string().optional(),
  status: z.string().optional(),
  per_page: z.coerce.number().int().min(5).max(50).default(20),
});
const recordQuery = pageQuery.extend({
  name: z.string().optional(),
  'name.exact': z.string().optional(),
  content: z.string().optional(),
  'content.exact': z.string().optional(),
  type: z.string().optional(),
  per_page: z.coerce.number().int().min(1).max(5_000_000).default(100),
});

/** The zones and records of one account, the same in memory, in the store and in the DNS. */
class Account {
  readonly zones: Zone[];
  /** The last write: the next one waits for it, so that zones are published in the order of the answers. */
  private writing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly backend: Backend,
    private readonly storePath: string,
    names: string[],
  ) {
    const stored = existsSync(storePath)
      ? (JSON.parse(readFileSync(storePath, 'utf8')) as Zone[])
      : [];
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

  zone(id: string): Zone {
    const zone = this.zones.find((candidate) => candidate.id === id);
    if (!zone) {
      throw new ApiError(
        404,
        7003,
        `Could not route to /client/v4/zones/${id}, perhaps your object identifier is invalid?`,
      );
    }
    return zone;
  }

  record(zone: Zone, id: string): DnsRecord {
    const record = zone.records.find((candidate) => candidate.id === id);
    if (!record) {
      throw new ApiError(404, 81044, 'Record does not exist.');
    }
    return record;
  }

  async publishAll(): Promise<void> {
    for (const zone of this.zones) {
      await this.backend.putZone(zone.name, zoneRecords(zone.name, zone.records));
      if (zone.dnssec) await this.backend.sign(zone.name, zone.dnssec.status === 'active');
    }
  }

  dnssec({ name, dnssec }: Zone) {
    const { ds, delegated } = this.backend.dnssec(name);
    const [keyTag, algorithm, digestType, digest] = ds?.split(' ') ?? [];
    const asked = dnssec?.status === 'active' ? 'pending' : 'disabled';
    return {
      // Disabled takes hold once the parent no longer has the DS record.
      status: !delegated ? asked : asked === 'pending' ? 'active' : 'pending-disabled',
      flags: ds === undefined ? null : 257,
      algorithm: algorithm ?? null,
      key_type: ds === undefined ? null : 'ECDSAP256SHA256',
      digest_type: digestType ?? null,
      digest_algorithm: ds === undefined ? null : 'SHA256',
      digest: digest ?? null,
      ds: ds === undefined ? null : `${name}. 3600 IN DS ${ds}`,
      key_tag: keyTag === undefined ? null : Number(keyTag),
      public_key: null,
      modified_on: dnssec?.modified_on ?? null,
    };
  }

  async setDnssec(zoneId: string, body: unknown) {
    const zone = this.zone(zoneId);
    const { status } = dnssecSchema.parse(body);
    if (status !== undefined && status !== (zone.dnssec?.status ?? 'disabled')) {
      await this.backend.sign(zone.name, status === 'active');
      zone.dnssec = { status, modified_on: new Date().toISOString() };
      this.store();
    }
    return this.dnssec(zone);
  }

  create(zoneId: string, body: unknown): Promise<DnsRecord> {
    return this.write(zoneId, (zone) => {
      const now = new Date().toISOString();
      const record = judge(zone, zone.records, { id: newId(), created_on: now }, body, now);
      return { result: record, records: [...zone.records, record] };
    });
  }

  update(zoneId: string, id: string, body: (old: DnsRecord) => unknown): Promise<DnsRecord> {
    return this.write(zoneId, (zone) => {
      const old = this.record(zone, id);
      const others = zone.records.filter((candidate) => candidate !== old);
      const record = judge(zone, others, old, body(old), new Date().toISOString());
      return {
        result: record,
        records: zone.records.map((candidate) => (candidate === old ? record : candidate)),
      };
    });
  }

  delete(zoneId: string, id: string): Promise<{ id: string }> {
    return this.write(zoneId, (zone) => {
      const old = this.record(zone, id);
      return {
        result: { id },
        records: zone.records.filter((candidate) => candidate !== old),
      };
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
    const temporary = `${this.storePath}.new`;
    writeFileSync(temporary, JSON.stringify(this.zones, undefined, 2));
    renameSync(temporary, this.storePath);
  }
}

/** The record that `body` asks for, or why it cannot stand in `zone` beside `others`. */
function judge(
  zone: Zone,
  others: DnsRecord[],
  kept: Pick<DnsRecord, 'id' | 'created_on'> & Partial<DnsRecord>,
  body: unknown,
  now: string,
): DnsRecord {
  const input = recordSchema.parse(body);
  const proxiable = ['A', 'AAAA', 'CNAME'].includes(input.type);
  if (input.proxied) {
    throw new ApiError(
      400,
      9041,
      proxiable
        ? 'This DNS record cannot be proxied: the lab has no HTTP proxy.'
        : 'This DNS record cannot be proxied.',
    );
  }
  if (input.ttl !== 1 && (input.ttl < 60 || input.ttl > 86400)) {
    throw new ApiError(
      400,
      9021,
      'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.',
    );
  }
  const { comment } = input;
  const record: DnsRecord = {
    ...input,
    // That of SRV is told twice.
    ...(input.type === 'SRV' && { priority: input.data?.priority }),
    id: kept.id,
    name: fullName(input.name, zone.name),
    content: recordContent(input),
    proxiable,
    meta: {},
    created_on: kept.created_on,
    modified_on: now,
    ...(comment !== null && {
      comment_modified_on: comment === kept.comment ? kept.comment_modified_on : now,
    }),
  };

  const sameName = others.filter((other) => other.name === record.name);
  if (
    sameName.some((other) => other.type === record.type && recordData(other) === recordData(record))
  ) {
    throw new ApiError(400, 81058, 'An identical record already exists.');
  }
  // The zone's own name would be answered with the addresses that a CNAME leads to.
  const isApex = record.name === zone.name;
  const clashing = isApex
    ? sameName.filter(({ type }) => ['A', 'AAAA', 'CNAME'].includes(type))
    : sameName;
  if (record.type === 'CNAME' && clashing.length > 0) {
    throw new ApiError(
      400,
      81053,
      'An A, AAAA, or CNAME record with that host already exists. For more details, refer to ' +
        '<https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>.',
    );
  }
  if ((!isApex || proxiable) && sameName.some((other) => other.type === 'CNAME')) {
    throw new ApiError(
      400,
      81054,
      'A CNAME record with that host already exists. For more details, refer to ' +
        '<https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>.',
    );
  }
  return record;
}

/** International labels as A-labels, of names that may be no host names. */
const ascii = (name: string): string =>
  name
    .toLowerCase()
    .split('.')
    .map((label) => (/[^\0-\x7f]/.test(label) ? domainToASCII(label) : label))
    .join('.');

/** A name outside the zone is taken as relative to it, as `@` is. */
function fullName(name: string, zone: string): string {
  const lower = ascii(name).replace(/\.$/, '');
  const full =
    lower === '@' || lower === ''
      ? zone
      : lower === zone || lower.endsWith(`.${zone}`)
        ? lower
        : `${lower}.${zone}`;
  if (
    full.length > 253 ||
    !full.split('.').every((label, i) => isLabel(label) || (i === 0 && label === '*'))
  ) {
    throw new ApiError(400, 9000, 'DNS name is invalid.');
  }
  return full;
}

function isLabel(label: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label);
}

/** A name as the API tells it; the root itself is a dot. */
const withoutDot = (name: string): string => (name === '.' ? name : name.replace(/\.$/, ''));

function isHostName(name: string): boolean {
  return (
    name.length <= 254 &&
    name.toLowerCase().replace(/\.$/, '').split('.').every(isLabel) &&
    !isIPv4(name)
  );
}

/** The content as the API stores and returns it: as sent, or put together from `data` where the type has that. */
function recordContent(input: RecordInput): string {
  const { type, data } = input;
  if (type === 'CAA' || type === 'SRV' || type === 'TLSA') {
    return data ? dataContent(type, data) : invalid(9101, `data is required for ${type} records.`);
  }
  const { content } = input;
  if (content === undefined || content === '') {
    return invalid(9020, 'content is required.');
  }
  switch (type) {
    case 'A':
      return isIPv4(content)
        ? content
        : invalid(9005, 'Content for A record must be a valid IPv4 address.');
    case 'AAAA':
      return isIPv6(content)
        ? content
        : invalid(9006, 'Content for AAAA record must be a valid IPv6 address.');
    case 'CNAME':
      return isHostName(content)
        ? withoutDot(content)
        : invalid(9007, 'Content for CNAME record is invalid.');
    case 'MX':
      if (input.priority === undefined) {
        return invalid(9101, 'priority is a required data field.');
      }
      return isHostName(content) || content === '.'
        ? withoutDot(content)
        : invalid(9009, 'Content for MX record must be a hostname.');
    case 'TXT':
      return txtStrings(content)
        ? content
        : invalid(9012, 'Content for TXT record is invalid: strings hold at most 255 octets.');
    default:
      return invalid(9004, `Invalid or, in the lab, unsupported DNS record type: ${type}.`);
  }
}

function dataContent(type: 'CAA' | 'SRV' | 'TLSA', data: z.output<typeof dataSchema>): string {
  const field = (name: keyof typeof data) =>
    data[name] ?? invalid(9101, `${name} is a required data field.`);
  switch (type) {
    case 'CAA':
      return `${field('flags')} ${field('tag')} ${quote(Buffer.from(String(field('value'))))}`;
    case 'SRV':
      return `${field('priority')} ${field('weight')} ${field('port')} ${withoutDot(String(field('target')))}`;
    case 'TLSA':
      if (!/^(?:[0-9a-f]{2})+$/i.test(String(field('certificate')))) {
        return invalid(9101, 'certificate must be hexadecimal.');
      }
      return `${field('usage')} ${field('selector')} ${field('matching_type')} ${field('certificate')}`;
  }
}

function invalid(code: number, message: string): never {
  throw new ApiError(400, code, message);
}

/** One character-string in presentation format (RFC 1035, section 5.1). */
function quote(octets: Buffer): string {
  const escaped = octets
    .toString('latin1')
    .replace(/["\\]/g, '\\$&')
    .replace(/[^ -~]/g, (c) => `\\${c.charCodeAt(0).toString().padStart(3, '0')}`);
  return `"${escaped}"`;
}

/** TXT content as character-strings in presentation format; undefined where a quoted one is malformed or too long. */
function txtStrings(content: string): string[] | undefined {
  if (!content.startsWith('"')) {
    const octets = Buffer.from(content);
    return Array.from({ length: Math.ceil(octets.length / 255) }, (_, i) =>
      quote(octets.subarray(i * 255, (i + 1) * 255)),
    );
  }
  if (!/^"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*$/.test(content)) {
    return undefined;
  }
  const strings = content.match(/"(?:[^"\\]|\\.)*"/g) ?? [];
  const octets = (text: string) =>
    Buffer.byteLength(text.slice(1, -1).replace(/\\(\d{3}|.)/g, '.'));
  return strings.every((text) => octets(text) <= 255) ? strings : undefined;
}

/** RDATA in presentation format, every name in full. */
function recordData(record: DnsRecord): string {
  const absolute = (name: string) => (name.endsWith('.') ? name : `${name}.`).toLowerCase();
  switch (record.type) {
    case 'CNAME':
      return absolute(record.content);
    case 'MX':
      return `${record.priority} ${absolute(record.content)}`;
    case 'SRV':
      return absolute(record.content);
    case 'TXT':
      return (txtStrings(record.content) ?? []).join(' ');
    default:
      return record.content;
  }
}

/** Seconds that a TTL of 1, automatic, stands for. */
const automaticTtl = 300;

/** What is published. Nobody asks here for the addresses that a CNAME of the zone's own name leads to. */
const zoneRecords = (zone: string, records: DnsRecord[]): ZoneRecord[] =>
  records.filter(({ type, name }) => type !== 'CNAME' || name !== zone).map(zoneRecord);

function zoneRecord(record: DnsRecord): ZoneRecord {
  return {
    name: record.name,
    type: record.type,
    ttl: record.ttl === 1 ? automaticTtl : record.ttl,
    rdata: recordData(record),
  };
}

function zoneResult(zone: Zone) {
  return {
    id: zone.id,
    // Zones are told in Unicode, records in A-labels.
    name: domainToUnicode(zone.name),
    status: 'active',
    paused: false,
    type: 'full',
    development_mode: 0,
    name_servers: nameServers,
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    created_on: zone.created_on,
    modified_on: zone.created_on,
    activated_on: zone.created_on,
    meta: {
      step: 2,
      custom_certificate_quota: 0,
      page_rule_quota: 3,
      phishing_detected: false,
    },
    owner: { id: null, type: 'user', email: null },
    account: { id: '0'.repeat(32), name: 'lab' },
    tenant: { id: null, name: null },
    tenant_unit: { id: null },
    permissions: ['#dns_records:edit', '#dns_records:read', '#zone:read'],
    plan: {
      id: '0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee',
      name: 'Free Website',
      price: 0,
      currency: 'USD',
      frequency: '',
      is_subscribed: false,
      can_subscribe: false,
      legacy_id: 'free',
      legacy_discount: false,
      externally_managed: false,
    },
  };
}

function success<T>(result: T) {
  return { success: true, errors: [], messages: [], result };
}

function page<T>(all: T[], query: { page: number; per_page: number }) {
  const { page, per_page } = query;
  const result = all.slice((page - 1) * per_page, page * per_page);
  return {
    ...success(result),
    result_info: {
      page,
      per_page,
      count: result.length,
      total_count: all.length,
      total_pages: Math.ceil(all.length / per_page),
    },
  };
}

function authorizationError(header: string | undefined, token: string): ApiError | undefined {
  if (header === undefined) {
    return new ApiError(400, 9106, 'Missing X-Auth-Key, X-Auth-Email or Authorization headers');
  }
  if (!/^Bearer [0-9A-Za-z_-]{40,80}$/.test(header)) {
    return new ApiError(400, 6003, 'Invalid request headers', {
      code: 6111,
      message: 'Invalid format for Authorization header',
    });
  }
  if (header !== `Bearer ${token}`) return new ApiError(403, 9109, 'Invalid access token');
  return undefined;
}

function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) {
    return error;
  }
  if (error instanceof z.ZodError) {
    return new ApiError(400, 9207, `Request is invalid: ${z.prettifyError(error)}`);
  }
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  return statusCode < 500
    ? new ApiError(400, 9207, `Request body is invalid: ${message}`)
    : new ApiError(500, 10000, message);
}

function newId(): string {
  return randomBytes(16).toString('hex');
}
