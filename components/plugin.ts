import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as pulumi from '@pulumi/pulumi';
import { main } from '@pulumi/pulumi/provider';
import * as components from '.';
import { packageRoot } from './packageRoot';

interface Schema {
  version: string;
  resources: Record<string, { properties: object }>;
}

type Component = new (
  name: string,
  args: pulumi.Inputs,
  opts: pulumi.ComponentResourceOptions,
) => { urn: pulumi.Output<string> } & Record<string, unknown>;

const text = readFileSync(join(packageRoot, 'schema.json'), 'utf8');
const schema = JSON.parse(text) as Schema;

/** Serves the package's components to programs in any language. The engine starts this file as a plugin. */
void main(
  {
    version: schema.version,
    schema: text,
    construct: (name, type, inputs, options) => {
      const [, , component] = type.split(':');
      const Component = components[component as keyof typeof components] as unknown as Component;
      const resource = new Component(name, inputs, options);
      const outputs = Object.keys(schema.resources[type]!.properties);
      return Promise.resolve({
        urn: resource.urn,
        state: Object.fromEntries(outputs.map((output) => [output, resource[output]])),
      });
    },
  },
  process.argv.slice(2),
);
