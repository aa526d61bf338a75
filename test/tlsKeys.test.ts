import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const library = join(__dirname, '../files/usr/local/lib');
const keys = [1, 2].map(() =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }),
);
const [served, next] = keys.map(({ privateKey }) => privateKey);
const [servedRecord, nextRecord] = keys.map(({ publicKey }) => {
  const der = createPublicKey(publicKey).export({ type: 'spki', format: 'der' });
  return `3 1 1 ${createHash('sha256').update(der).digest('hex')}`;
});

/** The host program with time, name servers and files of the test's own. Records have a TTL of 300 s. */
const driver = `
import json, pathlib, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, ${JSON.stringify(library)})
from mailhost import tlsa
from mailhost.files import File
class Clock:
    now = 0
    def time(self): return self.now
    def sleep(self, seconds): self.now += seconds
    def __getattr__(self, name): return getattr(__import__("time"), name)
tlsa.time = clock = Clock()
tlsa.put = lambda path, file: pathlib.Path(path).write_text(file.text)
out = []
questions = 0
def common_answers(owner, name, kind):
    global questions
    questions += 1
    if any(begin <= clock.now < end for begin, end in given["silent"]): raise tlsa.Failure("time-out")
    return {text: 300 for text in out}
tlsa.common_answers = common_answers
given = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    tlsa.EVIDENCE, tlsa.KEY = folder / "tlsa.json", str(folder / "key.pem")
    if given["served"]: pathlib.Path(tlsa.KEY).write_text(given["served"])
    refused = None
    sys.stdout = sys.stderr
    for at, out in given["looks"]:
        clock.now = at
        tlsa.look("_25._tcp.mail.example.org")
    start = clock.now = given["at"]
    out, questions = given["out"], 0
    files = {tlsa.KEY: File("0600", "root:root", given["key"])}
    if given["planned"]: files[tlsa.SETTINGS] = File("0644", "root:root", "\\n".join(["_25._tcp.mail.example.org", *given["planned"]]))
    try:
        tlsa.check(files)
    except tlsa.Failure as failure:
        refused = str(failure)
    sys.stdout = sys.__stdout__
    print(json.dumps({"refused": refused, "waited": clock.now - start, "questions": questions}))
`;

interface Switch {
  served?: string;
  key?: string;
  /** Records that the plan publishes; none where it has none. */
  planned?: (string | undefined)[];
  /** What was seen before, and when. */
  looks?: [at: number, out: (string | undefined)[]][];
  at?: number;
  out?: (string | undefined)[];
  /** When no name server answers. */
  silent?: [from: number, until: number][];
}
interface Outcome {
  refused: string | null;
  waited: number;
  /** How often it asked. */
  questions: number;
}
function outcome(change: Switch): Outcome {
  const input = {
    served,
    key: next,
    planned: [servedRecord, nextRecord],
    looks: [],
    at: 1000,
    out: [servedRecord, nextRecord],
    silent: [],
    ...change,
  };
  const output = execFileSync('python3', ['-c', driver], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return JSON.parse(output) as Outcome;
}
const atOnce = { refused: null, waited: 0 };

describe('a TLS key', () => {
  it.each<[string, Switch]>([
    ['whose record has been out for a TTL', { looks: [[100, [servedRecord, nextRecord]]] }],
    ['that is the first', { served: '' }],
    ['that is the same', { key: served, out: [] }],
    ['where nobody goes by records', { planned: [], out: [servedRecord] }],
    ['where no record is out', { out: [] }],
  ])('is served at once: %s', (_, change) => {
    expect(outcome(change)).toMatchObject(atOnce);
  });

  it('is waited for until nobody remembers the records without it', () => {
    const { refused, waited } = outcome({ looks: [[900, [servedRecord, nextRecord]]] });
    expect([refused, waited]).toEqual([null, 201]);
    // It was gone in between.
    expect(
      outcome({
        looks: [
          [100, [servedRecord, nextRecord]],
          [900, [servedRecord]],
        ],
      }).waited,
    ).toBe(301);
  });

  it('asks seldom, and again where it gets no answer', () => {
    const late = outcome({
      silent: [
        [1000, 1010],
        [1310, 1311],
      ],
    });
    expect(late).toMatchObject({ refused: null, waited: 315 });
    expect(late.questions).toBeLessThan(15);
    const never = outcome({ silent: [[1000, 9000]] });
    expect(never.refused).toContain('time-out');
    expect(never.waited).toBe(300);
    expect(outcome({ silent: [[1000, 9000]], served: '' }).questions).toBe(0);
  });

  it('is refused where the plan takes its record away, even if it is served already', () => {
    const change = { key: served, planned: [nextRecord] };
    expect(outcome(change).refused).toContain(`TLSA ${servedRecord}`);
    expect(outcome({ ...change, served: '' }).refused).toContain(`TLSA ${servedRecord}`);
  });

  it('remembers no time to come, of a clock that was ahead', () => {
    const ahead: [number, (string | undefined)[]] = [100_000, [servedRecord, nextRecord]];
    expect(outcome({ looks: [ahead] })).toMatchObject({ refused: null, waited: 301 });
  });

  it('is refused where no record names it', () => {
    expect(outcome({ out: [servedRecord] }).refused).toContain(`TLSA ${nextRecord}`);
  });
});
