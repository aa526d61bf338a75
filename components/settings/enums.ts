/** How accounts exist on the host: in tables of the mail daemons, or as system users with PAM and /etc/passwd. */
export const AccountKind = { Virtual: 'virtual', System: 'system' } as const;
export type AccountKind = (typeof AccountKind)[keyof typeof AccountKind];

/** Where the mail of a domain is delivered: on this host, or by the one that its MX names, with what still arrives here or without. */
export const Delivery = { Here: 'here', Elsewhere: 'elsewhere', Forward: 'forward' } as const;
export type Delivery = (typeof Delivery)[keyof typeof Delivery];

/** What happens to spam from outside: filed into Junk, held on the host, or dropped; never bounced to a forged sender. */
export const SpamAction = { File: 'file', Hold: 'hold', Drop: 'drop' } as const;
export type SpamAction = (typeof SpamAction)[keyof typeof SpamAction];

/** What an `up` does about a host that is not as the plan has it. */
export const DriftAction = { Ignore: 'ignore', Stop: 'stop', Mend: 'mend' } as const;
export type DriftAction = (typeof DriftAction)[keyof typeof DriftAction];

/** What a preview reports of a change: every line with lines around it, a summary, or nothing. */
export const ReviewDetail = { Full: 'full', Summary: 'summary', Off: 'off' } as const;
export type ReviewDetail = (typeof ReviewDetail)[keyof typeof ReviewDetail];

/** What happens to a virus from outside. */
export const VirusAction = { Hold: 'hold', Drop: 'drop' } as const;
export type VirusAction = (typeof VirusAction)[keyof typeof VirusAction];

/** What receivers are to do with mail that fails DMARC of a domain (RFC 7489, section 6.3). */
export const DmarcPolicy = { None: 'none', Quarantine: 'quarantine', Reject: 'reject' } as const;
export type DmarcPolicy = (typeof DmarcPolicy)[keyof typeof DmarcPolicy];

/** What others are to do where TLS to this host fails: deliver, deliver and report, or hold back (RFC 8461, section 5). */
export const MtaSts = { None: 'none', Testing: 'testing', Enforce: 'enforce' } as const;
export type MtaSts = (typeof MtaSts)[keyof typeof MtaSts];

/** Who publishes the records: this stack at Cloudflare, or a person. */
export const Dns = { Cloudflare: 'cloudflare', Manual: 'manual' } as const;
export type Dns = (typeof Dns)[keyof typeof Dns];

/** Who issues the certificates: a public CA by ACME (RFC 8555), a CA of the stack, or somebody else. */
export const CertificateIssuer = {
  Acme: 'acme',
  SelfSigned: 'selfSigned',
  Provided: 'provided',
} as const;
export type CertificateIssuer = (typeof CertificateIssuer)[keyof typeof CertificateIssuer];
