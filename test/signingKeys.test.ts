import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** One activation of amavis' files on the host, and what its name servers answer meanwhile. */
interface Activation {
  /** Seconds. */
  at: number;
  signs: string;
  published: string[];
  /** By selector; what is not named is `KEY` and the selector. */
  keys?: Record<string, string>;
  /** Selectors that the name servers answer with. */
  out: string[];
  /** The name servers cannot be found. */
  lost?: boolean;
  /** The program is killed before it has switched. */
  killed?: boolean;
  /** The timer runs, instead of an activation. */
  timer?: boolean;
}

interface Outcome {
  refused?: string;
  /** Seconds that it waited. */
  waited: number;
  unsigned: boolean;
  /** Selectors that may sign, as the evidence has it. */
  signing: string[];
  /** Whether amavis is still to be restarted for a domain that signs now. */
  restart: boolean;
}

const library = join(__dirname, '../files/usr/local/lib');
/** The host program with time, name servers and files of the test's own. A zone's negative TTL is 100 s. */
const driver = `
import json, pathlib, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, ${JSON.stringify(library)})
import base64
from mailhost import dkim, dkim_evidence, visibility
from mailhost.files import File
dkim_evidence.put = lambda path, file: pathlib.Path(path).write_text(file.text)
dkim.run = lambda *command: ""
class Clock:
    now = 0
    def time(self): return self.now
    def sleep(self, seconds): self.now += 5 * seconds
    def __getattr__(self, name): return getattr(__import__("time"), name)
dkim.time = dkim_evidence.time = clock = Clock()
step, files = {}, {}
def look_at_all(queries):
    looks = []
    for query in queries:
        if step.get("lost"):
            looks.append(visibility.Look("lost", certain=False))
        else:
            there = query.name.split(".")[0] in step["out"]
            looks.append(visibility.Look(None if there else "nothing", negative_ttl=100 if there else 0))
    return looks
dkim.look_at_all = look_at_all
dkim.live = lambda: dkim.wanted(files[dkim.SETTINGS].text, files[dkim.PUBLIC_KEYS].text) if files else (dkim.Settings({}, 0), {})
def activate(row):
    global step, files
    clock.now = 0
    for step in row:
        clock.now = max(clock.now, step["at"])
        start = clock.now
        plan = {"retention": 1000, "domains": {"example.org": {"signs": step["signs"], "published": step["published"]}}}
        key = lambda s: base64.b64encode(("KEY" + s).encode()).decode()
        keys = {"example.org": {s: step.get("keys", {}).get(s, key(s)) for s in step["published"]}}
        new = {path: File("0644", "root:root", json.dumps(document)) for path, document in ((dkim.SETTINGS, plan), (dkim.PUBLIC_KEYS, keys))}
        outcome = {}
        sys.stdout = sys.stderr
        try:
            if step.get("timer"):
                if dkim.newly_visible() and not step.get("killed"):
                    dkim.RESTART.unlink()
            else:
                dkim.check(new, {})
                if not step.get("killed"):
                    files = new
                    dkim.note_signers()
        except dkim.Failure as failure:
            outcome["refused"] = str(failure)
        sys.stdout = sys.__stdout__
        evidence = dkim_evidence.load().get("example.org", {})
        outcome.update(waited=clock.now - start, unsigned=bool(dkim.unsigned_domains()), signing=sorted(dkim.signers(evidence)), restart=dkim.RESTART.exists())
        yield outcome
for line in sys.stdin:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        dkim_evidence.EVIDENCE, dkim.UNSIGNED, dkim.RESTART = folder / "dkim.json", folder / "unsigned", folder / "restart"
        print(json.dumps(list(activate(json.loads(line)))), flush=True)
`;

/** What comes of each row of activations, each on a host of its own. */
function outcomesOf(rows: Activation[][]): Outcome[][] {
  const output = execFileSync('python3', ['-c', driver], {
    input: rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Outcome[]);
}
const outcomes = (...steps: Activation[]): Outcome[] => outcomesOf([steps])[0]!;
const last = (...steps: Activation[]): Outcome => outcomes(...steps).at(-1)!;

const first = { at: 0, signs: 's1', published: ['s1', 's2'], out: ['s1', 's2'] };
const second = {
  at: 500,
  signs: 's2',
  published: ['s1', 's2', 's3'],
  out: ['s1', 's2', 's3'],
};

describe('the first key of a domain', () => {
  it('signs at once where it is out', () => {
    expect(last(first)).toMatchObject({ waited: 0, unsigned: false, signing: ['s1'] });
  });

  it('is waited for a little, and the domain sends unsigned meanwhile', () => {
    const [waits, again] = outcomes({ ...first, out: [] }, { ...first, at: 600, out: [] });
    expect(waits).toMatchObject({ unsigned: true, signing: [] });
    expect(waits!.waited).toBeGreaterThan(20);
    expect(waits!.waited).toBeLessThan(60);
    expect(again).toMatchObject({ waited: 0, unsigned: true, signing: [] });
  });

  it('signs by the timer as soon as it is out, also where that was killed', () => {
    const timer = { ...first, timer: true };
    expect(
      outcomes(
        { ...first, lost: true },
        { ...timer, at: 600, lost: true },
        { ...timer, at: 900, killed: true },
        { ...timer, at: 1200 },
      ).map(({ unsigned, signing, restart }) => [unsigned, ...signing, restart]),
    ).toEqual([
      [true, false],
      [true, false],
      [false, 's1', true],
      [false, 's1', false],
    ]);
  });
});

describe('a key that follows another', () => {
  it('signs at once where it has been out long enough', () => {
    expect(last(first, second)).toMatchObject({ waited: 0, unsigned: false, signing: ['s2'] });
  });

  it('is waited for until nobody can remember that it was not there', () => {
    const { waited, signing } = last({ ...first, out: ['s1'] }, second);
    expect(signing).toEqual(['s2']);
    expect(waited).toBeGreaterThanOrEqual(100);
    expect(waited).toBeLessThan(110);
  });

  it('is looked for again where it was gone in between', () => {
    const gone = { ...first, at: 300, out: ['s1'], signs: 's1', timer: true };
    const lost = { ...second, out: ['s1'] };
    expect(last(first, gone, lost).refused).toMatch(/example\.org, s2: nothing/);
    expect(last(first, lost, { ...second, at: 2000 }).waited).toBeGreaterThanOrEqual(100);
  });

  it('is refused where it does not come out, and the one before goes on', () => {
    const { refused, waited, signing } = last(first, { ...second, out: ['s1'] });
    expect(refused).toContain('Signing goes on with the keys from before');
    expect(waited).toBeLessThan(310);
    expect(signing).toEqual(['s1']);
  });

  it('is refused where nobody can be asked', () => {
    expect(last(first, { ...second, lost: true }).refused).toContain('lost');
  });

  it('may have signed as long as nobody knows that it has not', () => {
    const [, killed, back] = outcomes(
      first,
      { ...second, killed: true },
      { ...first, at: 510, published: second.published },
    );
    expect(killed!.signing).toEqual(['s1', 's2']);
    expect(back!.signing).toEqual(['s1']);
    const late = { ...first, at: 520, published: ['s1', 's3'] };
    expect(last(first, { ...second, killed: true }, { ...first, at: 510 }, late).refused).toMatch(
      /s2 of example\.org signed until 1970-01-01 00:08:30 UTC, and .* until 1970-01-01 00:25:10 UTC/,
    );
    expect(
      last(first, { ...second, killed: true }, { ...first, at: 510 }, { ...late, at: 1511 })
        .refused,
    ).toBeUndefined();
  });
});

it('a selector never gets another key', () => {
  const other = { ...first, at: 10, keys: { s2: 'AAAA' } };
  expect(last(first, other).refused).toMatch(
    /s2 of example\.org would get another key.*dkimGeneration of the domain to 3/,
  );
  const back = { ...second, at: 5000, signs: 's3', published: ['s3', 's4'], out: ['s3', 's4'] };
  expect(last(first, second, back, { ...back, ...other, at: 9000 }).refused).toContain('s2');
});

it('any row of activations: who signs is out and was for long enough, and stays as long as it may be asked for', () => {
  const selectors = ['s1', 's2', 's3', 's4'];
  const steps = fc.array(
    fc.record({
      wait: fc.nat({ max: 400 }),
      signs: fc.constantFrom(...selectors),
      published: fc.subarray(selectors),
      out: fc.subarray(selectors),
      killed: fc.boolean(),
      timer: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  );
  const rows = fc.sample(steps, 200).map((row) => {
    let at = 0;
    return row.map(({ wait, signs, published, ...rest }, i) => ({
      ...rest,
      killed: rest.killed && i > 0,
      timer: rest.timer && i > 0,
      at: (at += wait + 400),
      signs,
      published: [...new Set([signs, ...published])],
    }));
  });
  for (const [n, found] of outcomesOf(rows).entries()) {
    const row = rows[n]!;
    const signedUntil = new Map<string, number>();
    let before: string[] = [];
    for (const [i, { signing, refused, unsigned }] of found.entries()) {
      const step = row[i]!;
      const seen = JSON.stringify(row.slice(0, i + 1));
      if (refused === undefined && !step.timer && !step.killed) {
        expect(signing, seen).toEqual(unsigned ? [] : [step.signs]);
        for (const [selector, until] of signedUntil)
          if (until + 1000 > step.at) expect(step.published, seen).toContain(selector);
      }
      for (const selector of signing.filter((s) => !before.includes(s)))
        expect(step.out, seen).toContain(selector);
      for (const selector of [...before, ...signing]) signedUntil.set(selector, step.at);
      before = signing;
    }
  }
});
