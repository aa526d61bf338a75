import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import { normalSpfMechanism } from '../dns/spf';
import { durationForm } from './duration';
import {
  normalAddress,
  normalDomain,
  normalIpAddress,
  normalNetwork,
  normalRecipient,
  normalZone,
} from './names';

/** What a setting tells of itself besides its form: its documentation, argument and error texts are made from it. */
export interface About {
  /** What it sets, as a noun phrase or an imperative. */
  description?: string;
  /** A value that it may have, for the documentation and for the remedy where it is missing. */
  example?: unknown;
  /** What applies where it is not set and has no default of its own, e.g. `the registrable domain`. */
  fallback?: string;
  /** Name of its type: of the enum, or of the interface of an object. */
  title?: string;
  /** `string` where it is left out. */
  type?: 'string' | 'integer' | 'number' | 'boolean';
  minimum?: number;
  maximum?: number;
  /** Kept encrypted, and never shown. */
  secret?: boolean;
  /** False where it may hold a secret by mistake: an error does not quote it. */
  shown?: boolean;
  /** A file that its value is read from, as a user has it, e.g. `privkey.pem`. */
  file?: string;
  /** The value may be an output of another resource. */
  later?: boolean;
}

/** As `.meta()`, of which it checks the type. */
export const about = (facts: About): Record<string, unknown> => ({ ...facts });

/** What is wrong with a value that is missing or of another type. */
const expected = (what: string, advice = '') => ({
  error: ({ input }: { input?: unknown }) =>
    `is ${input === undefined ? 'missing; set' : 'not'} ${what}${advice}`,
});

/** Whether a value may be known only while the program runs: an output of another resource, or a secret of the stack. */
export const isLater = (value: unknown): value is pulumi.Output<unknown> =>
  pulumi.Output.isInstance(value) || value instanceof Promise;

/** A value once it is known; undefined in a preview that does not know it. */
export async function knownValue<T>(value: pulumi.Input<T>): Promise<T | undefined> {
  if (!isLater(value)) return value;
  const output = pulumi.output(value) as pulumi.Output<T>;
  // The SDK declares it for itself alone. It is rejected where the value is.
  const { isKnown } = output as unknown as { isKnown: Promise<boolean> };
  return (await isKnown) ? new Promise((resolve) => output.apply(resolve)) : undefined;
}

/** A form whose value may be known only later; it is then left as it is. */
export const later = <T extends z.ZodType>(form: T) =>
  z
    .unknown()
    .transform((value, context): z.output<T> | pulumi.Output<z.output<T>> => {
      if (isLater(value)) return value as pulumi.Output<z.output<T>>;
      const { data, error } = form.safeParse(value);
      for (const { message, path } of error?.issues ?? [])
        context.addIssue({ code: 'custom', message, path });
      return error ? z.NEVER : data;
    })
    .meta(about({ ...form.meta(), later: true }));

/** Text in the form that `normal` gives it. */
const normalised = (what: string, normal: (text: string) => string | undefined, advice = '') =>
  z.string(expected(what)).transform((text, context) => {
    const form = normal(text);
    if (form === undefined)
      context.addIssue({ code: 'custom', message: `is not ${what}${advice}` });
    return form ?? z.NEVER;
  });

/** Text that matches. */
export const text = (what: string, pattern: RegExp, advice = '') =>
  z.string(expected(what)).regex(pattern, { error: `is not ${what}${advice}` });

export const domainName = normalised(
  'a valid domain name',
  normalDomain,
  '; write letters, digits, hyphens and dots, at most 63 octets for a label and 235 in all, e.g. example.org',
);

export const zone = normalised(
  'a valid zone',
  normalZone,
  '; write its name, e.g. example.org, or its id at Cloudflare, 32 hexadecimal digits',
);

export const address = normalised(
  'a valid mail address',
  normalAddress,
  "; write letters, digits and . - _ ' & before the @, without a +tag, e.g. anna@example.org",
);

export const recipient = normalised(
  'a mail address that mail can be forwarded to',
  normalRecipient,
  '; write one such as anna@example.org',
);

export const network = normalised(
  'a network in CIDR form',
  normalNetwork,
  '; write one such as 192.0.2.0/24 or 2001:db8::/32',
);

export const acmeDirectory = normalised(
  'the https URL of an ACME directory',
  (url) =>
    /^https:\/\/[a-z0-9.-]+(?::\d{1,5})?\/[!-&(-~]*$/i.test(url)
      ? // Its path alone depends on letter case.
        url.replace(/^[^/]+\/\/[^/]+/, (origin) => origin.toLowerCase())
      : undefined,
  '; write one such as https://acme-v02.api.letsencrypt.org/directory',
);

export const ipAddress = (family: 'ipv4' | 'ipv6', example: string) =>
  normalised(
    `an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address`,
    (text) => normalIpAddress(text, family),
    `; write one such as ${example}`,
  );

export const spfMechanism = normalised(
  'an SPF mechanism',
  normalSpfMechanism,
  '; write e.g. include:_spf.example.com or ip4:192.0.2.1 (RFC 7208, section 5)',
);

/** Text of digits alone, of which `pulumi config set --path` makes a number. */
export const digitsAsText = <T extends z.ZodType>(form: T) =>
  z.preprocess((value) => (typeof value === 'number' ? String(value) : value), form);

/** One line of authorized_keys(5) or of ssh-keyscan(1), without the host's name. */
export const sshPublicKey = (what: string) =>
  z.string(expected(what)).refine(isSshPublicKey, {
    error: `is not ${what}; write the whole line, e.g. "ssh-ed25519 AAAA…"`,
  });

/** Whether its key is whole and of the type that stands before it (RFC 4253, section 6.6). */
function isSshPublicKey(line: string): boolean {
  const [, type, base64] =
    /^((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: [ -~]*)?$/.exec(
      line,
    ) ?? [];
  if (type === undefined || base64 === undefined) return false;
  const key = Buffer.from(base64, 'base64');
  const fields: Buffer[] = [];
  let at = 0;
  for (; at + 4 <= key.length; at += 4 + fields.at(-1)!.length) {
    const length = key.readUInt32BE(at);
    if (at + 4 + length > key.length) return false;
    fields.push(key.subarray(at + 4, at + 4 + length));
  }
  return at === key.length && fields.length > 1 && fields[0]!.toString('latin1') === type;
}

/** A secret, of which no error shows anything. */
export const secret = (what: string, isRight: (text: string) => boolean, advice = '') =>
  later(
    z
      .string(expected(what, advice))
      .refine(isRight, { error: `is not ${what}${advice}` })
      .meta(about({ secret: true })),
  );

/** One line that daemons' tables, systemd and a shell read the same way. */
export const plainWord = (length: number) =>
  secret(`text of 1 to ${length} printable ASCII characters without a space`, (word) =>
    new RegExp(`^[!-~]{1,${length}}$`).test(word),
  );

/** A number, or the text of one as stack config has it: neither an empty value nor a boolean counts as one. */
const numberOf = (what: string, pattern: RegExp, range: string, facts: About) => {
  const isMissing = ({ input }: { input?: unknown }) => input === undefined;
  return z
    .union([z.number(), z.string()], {
      error: (issue) => `is ${isMissing(issue) ? 'missing; set' : 'not'} ${what} ${range}`,
    })
    .transform((value, context) => {
      const number = Number(value);
      const isNumber = pattern.test(String(value));
      if (isNumber && number >= facts.minimum! && number <= facts.maximum!) return number;
      const message = isNumber
        ? `is out of range; set ${what} ${range}`
        : `is not ${what} ${range}`;
      // Not `abort`, which would keep rules between settings from what is right.
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta(about(facts));
};

export const wholeNumber = (minimum: number, maximum: number, unit = '') =>
  numberOf('a whole number', /^\d{1,9}$/, `from ${minimum} to ${maximum}${unit}`, {
    type: 'integer',
    minimum,
    maximum,
  });

/** A score: SpamAssassin's have at most three decimal places. */
export const score = (minimum: number, maximum: number) =>
  numberOf(
    'a number',
    /^\d{1,4}(?:\.\d{1,3})?$/,
    `from ${minimum} to ${maximum}, with at most three decimal places`,
    { type: 'number', minimum, maximum },
  );

export const generation = wholeNumber(1, 1000);

/** MB of a mailbox. */
export const quota = wholeNumber(0, 1_000_000, ' MB, 0 for no limit');

export const duration = text('a duration', durationForm, '; write a number and s, m, h or d');

export const boolean = z
  .union([z.boolean(), z.stringbool()], { error: 'is not a boolean; set true or false' })
  .meta(about({ type: 'boolean' }));

/** One of the values of an enum, whose name is that of its type. */
export const oneOf = <const T extends Record<string, string>>(title: string, values: T) =>
  z
    .enum(
      values,
      expected(
        Object.values(values)
          .map((value) => `"${value}"`)
          .join(' or '),
      ),
    )
    .meta(about({ title }));

export const listOf = <T extends z.ZodType>(what: string, item: T) =>
  z.array(item, expected(`a list of ${what}`));

export const addresses = listOf('mail addresses', address);

export const objectOf = <T extends z.ZodRawShape>(what: string, shape: T) =>
  z.strictObject(shape, expected(what));

/** Values by names, as environment variables are given. */
export const recordOf = <T extends z.ZodType>(
  what: string,
  names: { pattern: RegExp; error: string },
  values: T,
) => z.record(z.string().regex(names.pattern, { error: names.error }), values, expected(what));
