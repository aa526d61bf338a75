/** What CI decides by. */
export const exitStatus = {
  /** Nothing to do. */
  fine: 0,
  /** The command itself failed. */
  error: 1,
  /** For a person to read. */
  warning: 2,
  /** To act on. */
  problem: 3,
} as const;
