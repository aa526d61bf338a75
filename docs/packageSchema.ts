import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Analyzer } from '@pulumi/pulumi/provider/experimental/analyzer';
import {
  generateSchema,
  type ComplexType,
  type Property,
} from '@pulumi/pulumi/provider/experimental/schema';
import { MailHost } from '../components';
import own from '../package.json';
import { keysOf, type Key } from './settingsKeys';

const root = join(__dirname, '..');

type Types = Record<string, ComplexType>;

/** Adds the defaults that are one value: the SDK's analyser takes over the doc comments of arguments, but no `@default`. */
function addDefaults(args: Record<string, Property>, keys: Key[], types: Types): void {
  for (const [name, arg] of Object.entries(args)) {
    const key = keys.find((one) => one.name === name);
    if (key === undefined) throw new Error(`the argument ${name} is not a setting`);
    if (['string', 'number', 'boolean'].includes(typeof key.standard))
      Object.assign(arg, { default: key.standard });
    const type = types[refOf(arg.items ?? arg)];
    if (type?.properties) addDefaults(type.properties, key.inner, types);
  }
}

/** The name of the type that a property refers to. */
const refOf = (property: object): string =>
  '$ref' in property ? String(property.$ref).replace('#/types/', '') : '';

/** The text of schema.json: the package as the generators of SDKs and Pulumi's registry see it. */
export function packageSchema(): string {
  const { name, version, description, displayName, license, repository, keywords } = own;
  const source = new Analyzer(
    join(root, 'components'),
    name,
    { main: 'index.ts' },
    new Set([MailHost.name]),
  ).analyze();
  const { types, resources, language, ...rest } = generateSchema(
    name,
    version,
    description,
    source.components,
    source.typeDefinitions,
    source.dependencies,
  );
  addDefaults(resources['mailhost:index:MailHost']!.inputProperties!, keysOf(), types);
  const about = {
    displayName,
    license,
    repository: repository.url.replace(/\.git$/, ''),
    keywords,
  };
  // Else its name depends on the owner of the git repository that the package was added from.
  const python = { ...(language!.python as object), packageName: 'pulumi_mailhost' };
  // Else it leaves out the types of optional arguments that are plain lists of objects, and does not compile.
  const go = { ...(language!.go as object), generateExtraInputTypes: true };
  const languages = { ...language, python, go };
  const text = JSON.stringify(
    { ...rest, ...about, language: languages, resources, types },
    null,
    2,
  );
  // The SDKs put `Args` behind the names of such types themselves.
  return `${text.replace(/(:index:\w+)Args"/g, '$1"')}\n`;
}

if (require.main === module) writeFileSync(join(root, 'schema.json'), packageSchema());
