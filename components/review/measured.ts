// Made by `make bench-effects`; bench/README.md has the runs, and how they were measured.

/** Seconds for which SMTP, IMAP or a message waits at most, by the push. A push that nobody notices is missing. */
export const heldMail: Readonly<Record<string, number>> = {
  amavis: 4,
  opensmtpd: 1,
  spamassassin: 6,
  tls: 1,
};

/** Seconds without SMTP or IMAP while the server is resized. */
export const resizedServer: number | undefined = 4;

/** Seconds without SMTP or IMAP while the server is replaced. */
export const replacedServer: number | undefined = 122;

/** Seconds without SMTP or IMAP while a standby server takes over. */
export const switchedServer: number | undefined = 37;
