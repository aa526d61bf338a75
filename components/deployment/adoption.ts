import * as pulumi from '@pulumi/pulumi';
import type { Preflight } from '../preflight/preflight';

/** Children wait for their parent, so nothing is registered before the checks have passed. */
export const afterChecks = (
  checked: Promise<Preflight>,
  dependsOn: pulumi.ComponentResourceOptions['dependsOn'] = [],
) =>
  pulumi.output(dependsOn).apply(async (given) => {
    await checked;
    return [given].flat();
  });

/** Takes over what exists already and is the stack's: an `up` that was interrupted may have made it and never learned of it. */
export const adopting =
  (checked: Promise<Preflight>): pulumi.ResourceTransform =>
  async ({ type, name, props, opts }) => {
    const { adopted } = await checked;
    const id = adopted.ids.get(`${type} ${name}`);
    const server = adopted.server && type === 'hcloud:index/server:Server';
    if (id === undefined && !server) return undefined;
    const custom = opts as pulumi.CustomResourceOptions;
    return {
      props,
      opts: {
        ...custom,
        import: id ?? custom.import,
        // The API does not tell which addresses it was asked for, and the plugin would give it them again.
        ...(server ? { ignoreChanges: [...(custom.ignoreChanges ?? []), 'publicNets'] } : {}),
      },
    };
  };
