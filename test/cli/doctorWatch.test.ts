import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findingsOf, type Found, type Unchecked } from '../../cli/doctor/finding';
import { planText, readPlan } from '../../cli/doctor/planFile';
import { textNews, type Report } from '../../cli/doctor/report';
import {
  compare,
  isNews,
  readState,
  statusOfNews,
  writeState,
  type State,
} from '../../cli/doctor/watch';
import { stack } from './doctorPlan';

const folder = mkdtempSync(join(tmpdir(), 'watch-'));
afterAll(() => rmSync(folder, { recursive: true }));

const found = (code: Found['code'], evidence = 'x', about = 'mail.example.org'): Found => ({
  code,
  about,
  evidence,
});
const closed = found('port-closed', 'port 25 of 192.0.2.10');
const reboot = found('reboot-due');
const lists: Unchecked = { unchecked: 'the DNS list', why: 'it refuses' };
const inside: Unchecked = { unchecked: 'mail.example.org from inside', why: 'no answer in 120 s' };
const hour = 3_600_000;

/** Looks one after another, an hour apart, each with what it finds, or twice with what it and the second look find. */
class Watch {
  state: State | undefined;
  now = 1_800_000_000_000;
  waits = 0;

  async look(...looks: (Error | (Found | Unchecked)[])[]) {
    this.now += hour;
    const left = [...looks];
    const { news, state } = await compare(
      this.state,
      () => {
        const next = left.length > 1 ? left.shift()! : left[0]!;
        return next instanceof Error ? Promise.reject(next) : Promise.resolve(report(next));
      },
      { now: this.now, wait: () => Promise.resolve((this.waits += 1)) },
    );
    writeState(join(folder, 'state'), state);
    this.state = readState(join(folder, 'state'));
    const codes = (some: { code: string }[]) => some.map(({ code }) => code).join();
    return [
      statusOfNews(news),
      isNews(news) ? textNews(news, 'mail.example.org', false).split('\n')[0]!.split(':')[0] : '',
      codes([...news.fresh, ...news.lasting]),
    ];
  }
}

const report = (results: (Found | Unchecked)[]): Report => ({
  stack: 'mailhost/prod',
  hostName: 'mail.example.org',
  domains: [],
  time: '',
  seconds: 1,
  findings: findingsOf(results),
  unchecked: results.filter((one): one is Unchecked => 'unchecked' in one),
});

const nothing = [0, '', ''];

describe('a watch', () => {
  it('is silent while nothing is wrong', async () => {
    const watch = new Watch();
    expect([await watch.look([]), await watch.look([])]).toEqual([nothing, nothing]);
    expect(watch.waits).toBe(0);
  });

  it('reports what is new once, problems again each day, and what is gone', async () => {
    const watch = new Watch();
    await watch.look([]);
    expect(await watch.look([closed, reboot])).toEqual([3, '2 new', 'port-closed,reboot-due']);
    for (let hours = 1; hours < 24; hours += 1)
      expect(await watch.look([closed, reboot])).toEqual(nothing);
    expect(await watch.look([closed, reboot])).toEqual([3, '1 for a day or longer', 'port-closed']);
    expect(await watch.look([closed, reboot])).toEqual(nothing);
    expect(await watch.look([reboot])).toEqual([0, '1 gone', '']);
    expect(await watch.look([])).toEqual([0, '1 gone', '']);
  });

  it('reports at the first look what is wrong already, as a warning if it is none that stops mail', async () => {
    expect(await new Watch().look([reboot, lists])).toEqual([2, '1 new', 'reboot-due']);
  });

  it('looks a second time before it reports, and takes no other number for a change', async () => {
    const watch = new Watch();
    await watch.look([]);
    expect(await watch.look([closed], [])).toEqual(nothing);
    expect(watch.waits).toBe(1);
    expect(await watch.look([closed], [reboot])).toEqual(nothing);
    const ending = (days: number) => found('certificate-ending', `it ends in ${days} days`);
    expect(await watch.look([ending(9)])).toEqual([2, '1 new', 'certificate-ending']);
    expect(await watch.look([ending(8)])).toEqual(nothing);
    // Two ports at once are two all the same.
    expect(await watch.look([ending(8), closed])).toEqual([3, '1 new', 'port-closed']);
    const both = [ending(8), closed, found('port-closed', 'port 465 of 192.0.2.10')];
    expect(await watch.look(both)).toEqual([3, '1 new', 'port-closed']);
  });

  it('takes nothing for gone that it could not check, and reports that when it lasts', async () => {
    const watch = new Watch();
    await watch.look([reboot, lists]);
    expect(await watch.look([lists, inside])).toEqual(nothing);
    expect(await watch.look([reboot, lists])).toEqual(nothing);
    expect(await watch.look([reboot, lists, inside])).toEqual(nothing);
    expect(await watch.look([reboot, lists, inside])).toEqual([2, '1 no longer checked', '']);
    expect(await watch.look([reboot, lists, inside])).toEqual(nothing);
  });

  it('reports that nothing can be checked when it lasts, each day, and when it can again', async () => {
    const watch = new Watch();
    const error = new Error('no resolver');
    await expect(watch.look(error)).rejects.toThrow('no resolver');
    await watch.look([reboot]);
    expect(await watch.look(error)).toEqual(nothing);
    expect(await watch.look([reboot])).toEqual(nothing);
    expect(await watch.look(error)).toEqual(nothing);
    expect(await watch.look(error)).toEqual([1, 'nothing could be checked', '']);
    for (let hours = 1; hours < 24; hours += 1) expect(await watch.look(error)).toEqual(nothing);
    expect(await watch.look(error)).toEqual([1, 'nothing could be checked', '']);
    expect(await watch.look([reboot])).toEqual([0, 'checked again', '']);
  });

  it('refuses a file that is not its own', () => {
    writeFileSync(join(folder, 'other'), '{"findings":[]}');
    expect(() => readState(join(folder, 'other'))).toThrow(/other is not a state of --watch: /);
    expect(readState(join(folder, 'none'))).toBeUndefined();
  });
});

describe('a plan in a file', () => {
  it('has what the view from outside needs, and no secret', () => {
    const text = planText(stack);
    expect(text).not.toMatch(/secret|ssh-|privateKey/);
    writeFileSync(join(folder, 'plan'), text);
    const { connection, mail, ...known } = readPlan(join(folder, 'plan'));
    expect(stack).toMatchObject(known);
    expect(connection.privateKey).toBe('');
    expect(JSON.parse(mail)).toMatchObject({ domains: [{ name: 'example.org' }, {}] });
  });

  it('is refused if it is something else', () => {
    writeFileSync(join(folder, 'bad'), '{}');
    expect(() => readPlan(join(folder, 'bad'))).toThrow(/bad is not a plan: /);
  });
});
