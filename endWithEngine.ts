/**
 * Where Pulumi is killed nobody reads what this program says any more. The SDK takes that for an error and tells it, which is
 * the next error, and so on for ever.
 */
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(1));
