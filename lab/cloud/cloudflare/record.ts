import { z } from 'zod';

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

/** A record as a request describes it. */
export const recordSchema = z.object({
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

export type RecordInput = z.output<typeof recordSchema>;
export type RecordData = z.output<typeof dataSchema>;

/** A record as the API keeps and reports it. */
export interface DnsRecord extends RecordInput {
  id: string;
  content: string;
  proxiable: boolean;
  meta: Record<string, never>;
  created_on: string;
  modified_on: string;
  comment_modified_on?: string;
}
