import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ComponentProvider } from '@pulumi/pulumi/provider/experimental';
import { expect, it } from 'vitest';
import * as components from '../components';
import lock from '../components/package-lock.json';
import own from '../components/package.json';
import program from '../package.json';

it('is a component package of which every change of the public interface shows', async () => {
  const dirname = join(__dirname, '..', 'components');
  const all = Object.values(components);
  const provider = new ComponentProvider({ components: all, dirname, name: 'mailhost' });
  const { resources, types } = JSON.parse(await provider.getSchema()) as Record<string, unknown>;
  expect({ resources, types }).toMatchSnapshot();
});

it('is installed with all that the program has, by whoever takes the components alone', () => {
  expect(own.dependencies).toEqual(program.dependencies);
});

it('has a lock file that installing it leaves alone, and that names no registry', () => {
  const { dependencies, devDependencies } = lock.packages[''];
  expect({ dependencies, devDependencies }).toEqual({
    dependencies: own.dependencies,
    devDependencies: own.devDependencies,
  });
  expect(JSON.stringify(lock)).not.toContain('"resolved"');
  const settings = (...folder: string[]) =>
    readFileSync(join(__dirname, '..', ...folder, '.npmrc'), 'utf8');
  expect(settings('components')).toBe(settings());
});
