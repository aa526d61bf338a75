import * as pulumi from '@pulumi/pulumi';

/** Costs the engine what any resource does, and no plugin anything. */
class Nothing extends pulumi.ComponentResource {
  constructor(name: string) {
    super('bench:index:Nothing', name);
    this.registerOutputs({});
  }
}

const count = Number(process.env.BENCH_RESOURCES);
for (let i = 0; i < count; i++) new Nothing(`nothing-${i}`);
