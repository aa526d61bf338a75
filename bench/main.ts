import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { format, resolveConfig } from 'prettier';
import { inOwnCell } from '../test/lab/ownCell';
import { effects, measuredModule } from './effects';
import { field } from './field';
import { tools } from './field/tools';
import { say, timed, type Part } from './frame';
import { hosts } from './hosts';
import { limits } from './limits';
import { mail } from './mail';
import { markdown, plots, type Results } from './report';
import { review, reviewLengths } from './review';
import { scale } from './scale';

const parts: Record<string, Part> = { field, scale, limits, hosts, mail, effects, review };

const inFolder = (file: string) => join(__dirname, file);
const measured = inFolder('../components/review/measured.ts');

/** Puts the table into docs/review.md. */
async function writeLengths(table: string): Promise<void> {
  const file = inFolder('../docs/review.md');
  const text = readFileSync(file, 'utf8').replace(
    /(<!-- lengths: .*? -->\n).*?(<!-- lengths end -->)/s,
    (_, begin: string, end: string) => `${begin}\n${table}\n\n${end}`,
  );
  writeFileSync(file, await format(text, { ...(await resolveConfig(file)), parser: 'markdown' }));
}

/** Writes results.json, README.md and its plots, and the times that a review names; a quick run is only shown. */
async function main(names: string[], options: { quick: boolean }): Promise<void> {
  const path = inFolder('results.json');
  const results: Results = existsSync(path)
    ? (JSON.parse(readFileSync(path, 'utf8')) as Results)
    : {};
  const usual = Object.keys(parts).filter((name) => !parts[name]!.onlyByName);
  for (const name of names.length > 0 ? names : usual) {
    const part = parts[name];
    if (part === undefined) throw new Error(`no part "${name}": ${Object.keys(parts).join(', ')}`);
    say(part.title);
    const seconds = await timed(async () => {
      results[name] = {
        title: part.title,
        method: part.method,
        machine: `${cpus().length} cores (${cpus()[0]!.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB`,
        date: new Date().toISOString().slice(0, 10),
        figures: await part.run(options),
      };
    });
    say(`${part.title}: done in ${Math.round(seconds / 60)} min`);
    if (options.quick) console.log(markdown({ [name]: results[name]! }));
    else {
      writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`);
      writeFileSync(inFolder('README.md'), markdown(results));
      for (const [file, svg] of Object.entries(plots(results))) writeFileSync(inFolder(file), svg);
      if (results.effects) writeFileSync(measured, measuredModule(results.effects.figures));
      if (results.review) await writeLengths(reviewLengths(results.review.figures));
    }
  }
}

new Command('bench')
  .description('Measures speed and scale, against what users would pick instead')
  .argument('[part...]', `which: ${Object.keys(parts).join(', ')}; without one, all but limits`)
  .option('--quick', 'once each, of less, and shown only', false)
  .action((names: string[], options: { quick: boolean }) => {
    // What the other tools are installed from is out of reach in a cell.
    if (names.length === 0 || names.includes('field')) tools();
    return inOwnCell(() => main(names, options));
  })
  .parseAsync()
  .catch((error: unknown) => {
    console.error(error);
    // A cloud that nobody closed would keep it running.
    process.exit(1);
  });
