/**
 * The SDK takes the stack of each promise and resource that it makes, and shows one only where a promise leaks. ts-node maps
 * them to TypeScript, which is half of the time of a plan with many domains: so only errors that say something have a stack.
 */
const mapped = Error.prepareStackTrace?.bind(Error);
if (mapped)
  Error.prepareStackTrace = (error, frames): unknown =>
    error.message === '' ? 'Error' : mapped(error, frames);
