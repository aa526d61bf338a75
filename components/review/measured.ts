/** Seconds for which a push holds mail back, by the push. Only what was measured: a review names no time that is missing here. */
export const heldMail: Readonly<Record<string, number>> = {};

/** Seconds without SMTP and IMAP while the server is replaced, if that was measured. */
export const replacedServer: number | undefined = undefined;

/** Seconds without SMTP or IMAP while the server is resized. */
export const resizedServer: number | undefined = undefined;
