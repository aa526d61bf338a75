/** Says that the run goes on, where a test takes long. */
export function setup(): void {
  const start = Date.now();
  setInterval(() => {
    console.log(`still running after ${Math.round((Date.now() - start) / 1000)} s`);
  }, 30_000).unref();
}
