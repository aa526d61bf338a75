/**
 * Spreads calls, so that an API with a limit answers all of them.
 *
 * @example
 *   const limit = new RateLimit(2, 60);
 *   [0, 0, 0].map((now) => limit.next(now)); // [0, 0, 60_000]
 */
export class RateLimit {
  /** When the calls begin, in ms, in order. */
  private readonly begins: number[] = [];

  constructor(
    /** No more than these begin in any period of `seconds`. */
    public calls: number,
    public seconds: number,
  ) {}

  /**
   * Takes the next call.
   *
   * @param now in ms, never less than before
   * @returns when it may begin, in ms
   */
  next(now: number): number {
    const earlier = this.begins.at(-this.calls) ?? -Infinity;
    const begin = Math.max(now, earlier + this.seconds * 1000);
    this.begins.push(begin);
    return begin;
  }
}
