import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { copyKept, forgetUnfinished, isKept, keep, mustBeKept } from '../lab/keep';
import { project } from '../lab/sources';
import { releaseLab, type Lab } from '../lab/state';

/** What the tests have in the place of this machine's, and when a process is killed. */
const fake = vi.hoisted(() => {
  const { mkdtempSync } = process.getBuiltinModule('node:fs');
  const { tmpdir } = process.getBuiltinModule('node:os');
  const root = mkdtempSync(`${tmpdir()}/kept-`);
  process.env.XDG_CACHE_HOME = `${root}/cache`;
  return {
    root,
    kept: `${root}/cache/mailhost-lab/kept`,
    image: `${root}/image-0123456789ab`,
    /** A hash of what labs are made from. */
    sources: '0123456789ab',
    /** How many changes of files are left until it is killed. */
    left: Infinity,
    /** Which entry of a folder it has deleted when it is killed in the middle of that: the first, or the last. */
    deleted: 0,
    /** Whether the cache is on a file system of its own. */
    apart: false,
    /** Does one change, unless the process is killed: then what is done of it until then. */
    change<T>(work: () => T, part?: () => void): T {
      if (fake.left-- > 0) return work();
      part?.();
      throw new Error('killed');
    },
  };
});

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return {
    ...fs,
    rmSync: (path: string, options: object) =>
      fake.change(
        () => fs.rmSync(path, options),
        () => {
          const folder = fs.statSync(path, { throwIfNoEntry: false })?.isDirectory();
          const entry = folder ? fs.readdirSync(path).sort().at(fake.deleted) : undefined;
          if (entry !== undefined) fs.rmSync(`${path}/${entry}`, { recursive: true });
        },
      ),
    mkdirSync: (...args: Parameters<typeof fs.mkdirSync>) =>
      fake.change(() => fs.mkdirSync(...args)),
    writeFileSync: (...args: Parameters<typeof fs.writeFileSync>) =>
      fake.change(() => fs.writeFileSync(...args)),
    renameSync: (from: string, to: string) =>
      fake.change(() => {
        if (fake.apart && !from.startsWith(fake.kept))
          throw Object.assign(new Error('another file system'), { code: 'EXDEV' });
        fs.renameSync(from, to);
      }),
  };
});
vi.mock('../lab/sources', async (original) => ({
  ...(await original<typeof import('../lab/sources')>()),
  filesBelow: () => [],
  hashOf: () => fake.sources,
}));
vi.mock('../lab/images', () => ({
  layersFile: 'layers',
  machineImage: () => fake.image,
  serviceImage: () => fake.image,
}));
vi.mock('../lab/state', async (original) => {
  const state = await original<typeof import('../lab/state')>();
  const { existsSync, readdirSync } = await import('node:fs');
  const labs = `${fake.root}/labs`;
  return {
    ...state,
    run: (command: string, args: string[]) => fake.change(() => state.run(command, args)),
    labNames: () => readdirSync(labs),
    findLab: (name: string) =>
      existsSync(`${labs}/${name}/checkout`) ? { name, dir: `${labs}/${name}` } : undefined,
  };
});

afterAll(() => rmSync(fake.root, { recursive: true }));
beforeEach(() => {
  for (const folder of ['labs', 'cache']) {
    rmSync(join(fake.root, folder), { recursive: true, force: true });
    mkdirSync(join(fake.root, folder));
  }
  mkdirSync(fake.image, { recursive: true });
  fake.apart = false;
});

/** Files of a lab at rest, by their paths below its folder. */
const files = {
  checkout: project,
  cell: '1',
  ready: '',
  'log/cloud.log': 'ready',
  'hcloud.json': '{}',
  'services/upper/etc/knot': 'keys',
  'services/work/x': '',
  'machines/1/spec.json': '{"id":1}',
  'machines/1/upper/etc/hostname': 'mail',
  'volumes/1': 'mail',
};

/** A lab whose processes have ended. */
function newLab(name: string, content: Record<string, string> = files): Lab {
  const lab = { name, dir: join(fake.root, 'labs', name) };
  for (const [path, text] of Object.entries(content)) {
    mkdirSync(join(lab.dir, path, '..'), { recursive: true });
    writeFileSync(join(lab.dir, path), text);
  }
  return lab;
}

/** A copy of a kept lab that has run. */
function newCopy(name: string, from: string): Lab {
  const lab = newLab(name, { checkout: project });
  copyKept(from, lab);
  for (const root of ['services', 'machines/1']) mkdirSync(join(lab.dir, root, 'upper'));
  return lab;
}

/** What `down` does with files, where it finds the lab. */
function end(lab: Lab): void {
  if (!existsSync(join(lab.dir, 'checkout'))) return;
  forgetUnfinished(lab);
  releaseLab(lab);
}

const keptEntries = () => (existsSync(fake.kept) ? readdirSync(fake.kept).sort() : []);
const keptPath = (name: string) =>
  join(
    fake.kept,
    keptEntries().find((entry) => entry.startsWith(`${name}@`))!,
  );

/** All files of a folder, by their paths in it. */
const contents = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(folder.length + 1), readFileSync(path, 'utf8')];
      }),
  );

/** Lets days pass. */
function pass(days: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 24 * 3600_000 });
  onTestFinished(() => void vi.useRealTimers());
}

describe('a kept lab', () => {
  it('has all but what a running one alone has, and a copy shares its disks', () => {
    keep(newLab('first'), 'kept');
    expect(keptEntries()).toHaveLength(1);
    expect(existsSync(join(fake.root, 'labs/first'))).toBe(false);
    const kept = keptPath('kept');
    expect(contents(newCopy('second', 'kept').dir)).toEqual({
      checkout: project,
      'hcloud.json': '{}',
      'services/layers': join(kept, 'services/upper'),
      'machines/1/layers': join(kept, 'machines/1/upper'),
      'machines/1/spec.json': '{"id":1}',
      'volumes/1': 'mail',
    });
  });

  it('is used for four weeks, and then made anew', () => {
    keep(newLab('first'), 'kept');
    pass(27);
    expect(isKept('kept')).toBe(true);
    pass(2);
    expect(isKept('kept')).toBe(false);
    expect(() => copyKept('kept', newLab('second'))).toThrow(
      '"kept" was kept more than 28 days ago: start a lab, and keep it again with `./lab/lab save kept`',
    );
    const old = keptEntries();
    keep(newLab('third'), 'kept');
    expect(isKept('kept')).toBe(true);
    expect(keptEntries()).not.toEqual(old);
    expect(keptEntries()).toHaveLength(1);
  });

  it('is not used where an image below it was built again', () => {
    keep(newLab('first'), 'kept');
    utimesSync(fake.image, 1, 1);
    expect(isKept('kept')).toBe(false);
  });

  it('is not used where the one whose disks it shares was deleted', () => {
    keep(newLab('first'), 'base');
    keep(newCopy('second', 'base'), 'changed');
    keep(newCopy('third', 'changed'), 'more');
    expect(isKept('more')).toBe(true);
    rmSync(keptPath('base'), { recursive: true });
    expect(isKept('more')).toBe(false);
    expect(() => copyKept('changed', newLab('fourth'))).toThrow(
      '"changed" is not whole: a part of it, or of the lab whose disks it shares, was deleted',
    );
    // Another base has other disks.
    keep(newLab('fifth'), 'base');
    expect(isKept('changed')).toBe(false);
    keep(newCopy('sixth', 'base'), 'changed');
    expect(isKept('changed')).toBe(true);
  });

  it('goes when a newer one has its name, unless a lab or a kept lab shares its disks', () => {
    keep(newLab('first'), 'base');
    const lab = newCopy('second', 'base');
    pass(1);
    keep(newLab('third'), 'base');
    expect(keptEntries()).toHaveLength(2);
    keep(lab, 'changed');
    expect(keptEntries()).toHaveLength(3);
    expect(isKept('changed')).toBe(true);
    pass(1);
    keep(newCopy('fourth', 'base'), 'changed');
    expect(keptEntries()).toHaveLength(2);
  });

  it('goes when the sources change, unless another checkout has made it', () => {
    keep(newLab('first'), 'ours');
    keep(newLab('second'), 'theirs');
    writeFileSync(join(keptPath('theirs'), 'checkout'), fake.root);
    keep(newLab('third'), 'of one that is gone');
    writeFileSync(join(keptPath('of one that is gone'), 'checkout'), join(fake.root, 'gone'));
    const before = fake.sources;
    fake.sources = 'ba9876543210';
    onTestFinished(() => void (fake.sources = before));
    expect(() => copyKept('ours', newLab('fourth'))).toThrow(
      '"ours" was kept of other sources than this checkout has',
    );
    keep(newLab('fifth'), 'new');
    expect(keptEntries().map((entry) => entry.split('@')[0])).toEqual(['new', 'theirs']);
    expect(() => copyKept('none', newLab('sixth'))).toThrow('no lab is kept as "none"');
  });
});

it('on another file system a lab is kept without what a lab of its name has left there', () => {
  fake.apart = true;
  mkdirSync(join(fake.kept, '.first'), { recursive: true });
  writeFileSync(join(fake.kept, '.first/left'), '');
  keep(newLab('first'), 'kept');
  expect(keptEntries()).toHaveLength(1);
  expect(contents(keptPath('kept'))).toHaveProperty('volumes/1', 'mail');
  expect(contents(keptPath('kept'))).not.toHaveProperty('left');
});

/** Kills work in each of its changes to files, one after another, until it gets to its end. */
function killed(work: () => void, after: () => void): void {
  for (let kills = 0; ; kills++) {
    fake.left = Math.floor(kills / 2);
    fake.deleted = kills % 2 === 0 ? 0 : -1;
    try {
      work();
      expect(kills).toBeGreaterThan(6);
      return;
    } catch (error) {
      expect((error as Error).message).toBe('killed');
    } finally {
      fake.left = Infinity;
    }
    after();
  }
}

describe.each([
  ['the file system of the labs', false],
  ['another file system', true],
])('with the cache on %s', (_, apart) => {
  beforeEach(() => {
    fake.apart = apart;
  });

  it('a save that is killed leaves nothing when the lab has ended, or a lab that is kept', () => {
    keep(newLab('older'), 'kept');
    let lab = newLab('first');
    const whole = contents(keptPath('kept'));
    killed(
      () => keep(lab, 'kept'),
      () => {
        end(lab);
        expect(contents(join(fake.root, 'labs'))).toEqual({});
        expect(contents(mustBeKept('kept').dir)).toEqual(whole);
        expect(keptEntries().filter((entry) => !entry.startsWith('kept@'))).toEqual([]);
        lab = newLab('first');
      },
    );
    expect(keptEntries()).toHaveLength(1);
  });

  it('a start of a copy that is killed leaves nothing when the lab has ended', () => {
    keep(newLab('first'), 'kept');
    const before = contents(fake.kept);
    let lab = newLab('second', { checkout: project });
    killed(
      () => copyKept('kept', lab),
      () => {
        end(lab);
        expect(contents(join(fake.root, 'labs'))).toEqual({});
        expect(contents(fake.kept)).toEqual(before);
        lab = newLab('second', { checkout: project });
      },
    );
    expect(contents(lab.dir)).toHaveProperty('volumes/1', 'mail');
  });
});

it('a save that is killed while it deletes older ones leaves none that is taken for whole', () => {
  const before = fake.sources;
  onTestFinished(() => void (fake.sources = before));
  let lab = newLab('first');
  const keepOlder = () => {
    fake.sources = before;
    keep(newLab('older'), 'older');
    fake.sources = 'ba9876543210';
  };
  keepOlder();
  const whole = contents(keptPath('older'));
  killed(
    () => keep(lab, 'newer'),
    () => {
      end(lab);
      fake.sources = before;
      if (isKept('older')) expect(contents(mustBeKept('older').dir)).toEqual(whole);
      keepOlder();
      lab = newLab('first');
    },
  );
});
