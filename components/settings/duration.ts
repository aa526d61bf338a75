const units = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A time as OpenSMTPD writes it: a whole number and its unit. */
export const durationForm = /^[1-9]\d{0,5}[smhd]$/;

/** @example seconds('21d') // 1814400 */
export const seconds = (duration: string): number =>
  Number(duration.slice(0, -1)) * units[duration.at(-1) as keyof typeof units];
