import { z } from 'zod';

const named = z.object({ folder: z.string(), message: z.string(), size: z.number() });
export type Named = z.infer<typeof named>;

const result = z.object({
  account: z.string(),
  copied: z.number(),
  moved: z.number(),
  flagged: z.number(),
  refused: z.array(z.string()),
  comparison: z
    .object({
      equal: z.number(),
      elsewhere: z.number(),
      deleted: z.array(named),
      missing: z.array(named),
      here: z.array(named),
    })
    .optional(),
  error: z.string().optional(),
});
/** What became of one mailbox. */
export type Result = z.infer<typeof result>;

const progress = z.object({
  messages: z.number(),
  octets: z.number(),
  totalMessages: z.number(),
  totalOctets: z.number(),
});
export type Progress = z.infer<typeof progress>;

/** A line that the host program writes. */
export const hostLine = z.object({
  account: z.string().optional(),
  /** Octets of mail that were read from files. */
  received: z.number().optional(),
  progress: progress.optional(),
  result: result.optional(),
});
