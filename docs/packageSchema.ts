import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Analyzer } from '@pulumi/pulumi/provider/experimental/analyzer';
import {
  generateSchema,
  type ComplexType,
  type Property,
} from '@pulumi/pulumi/provider/experimental/schema';
import * as components from '../components';
import own from '../package.json';
import { allKeys, type Key } from './settingsReference';

const root = join(__dirname, '..');

type Types = Record<string, ComplexType>;

/** Adds to arguments what the settings know of them: descriptions, defaults and examples. */
function describe(args: Record<string, Property>, keys: Key[], types: Types): void {
  for (const [name, arg] of Object.entries(args)) {
    const key = keys.find((one) => one.name === name);
    if (key === undefined) throw new Error(`the argument ${name} is not a setting`);
    const { description, standard, examples, inner } = key;
    const hasDefault = ['string', 'number', 'boolean'].includes(typeof standard);
    arg.description = [
      description,
      ...(hasDefault ? [`Default: \`${String(standard)}\`.`] : []),
      ...examples.map((example) => `Example: \`${JSON.stringify(example)}\`.`),
    ].join(' ');
    if (hasDefault) Object.assign(arg, { default: standard });
    const type = types[refOf(arg.items ?? arg)];
    if (type?.properties) describe(type.properties, inner, types);
  }
}

/** The name of the type that a property refers to. */
const refOf = (property: object): string =>
  '$ref' in property ? String(property.$ref).replace('#/types/', '') : '';

/** The text of schema.json: the package as the generators of SDKs and Pulumi's registry see it. */
export function packageSchema(): string {
  const names = new Set(Object.values(components).map(({ name }) => name));
  const { name, version, description, displayName, license, repository, keywords } = own;
  const source = new Analyzer(
    join(root, 'components'),
    name,
    { main: 'index.ts' },
    names,
  ).analyze();
  const { types, resources, ...rest } = generateSchema(
    name,
    version,
    description,
    source.components,
    source.typeDefinitions,
    source.dependencies,
  );
  describe(resources['mailhost:index:MailHost']!.inputProperties!, allKeys(), types);
  const about = { displayName, license, repository: repository.url, keywords };
  const text = JSON.stringify({ ...rest, ...about, resources, types }, null, 2);
  // The SDKs put `Args` behind the names of such types themselves.
  return `${text.replace(/(:index:\w+)Args"/g, '$1"')}\n`;
}

if (require.main === module) writeFileSync(join(root, 'schema.json'), packageSchema());
