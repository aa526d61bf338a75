import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const library = join(__dirname, '../files/usr/local/lib/mailhost');
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
import tlsa
class Clock:
    now = 0
    def time(self): return self.now
    def sleep(self, seconds): self.now += seconds
    def __getattr__(self, name): return getattr(__import__("time"), name)
tlsa.time = clock = Clock()
tlsa.put = lambda path, file: pathlib.Path(path).write_text(file["text"])
out = []
tlsa.common_answers = lambda owner, name, kind: {text: 300 for text in out}
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
    out = given["out"]
    files = {tlsa.KEY: {"text": given["key"]}}
    if given["planned"]: files[tlsa.SETTINGS] = {"text": "\\n".join(["_25._tcp.mail.example.org", *given["planned"]])}
    try:
        tlsa.check(files)
    except tlsa.Failure as failure:
        refused = str(failure)
    sys.stdout = sys.__stdout__
    print(json.dumps({"refused": refused, "waited": clock.now - start}))
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
}
function outcome(change: Switch): { refused: string | null; waited: number } {
  const input = {
    served,
    key: next,
    planned: [servedRecord, nextRecord],
    looks: [],
    at: 1000,
    out: [servedRecord, nextRecord],
    ...change,
  };
  const output = execFileSync('python3', ['-c', driver], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return JSON.parse(output) as { refused: string | null; waited: number };
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
    expect(outcome(change)).toEqual(atOnce);
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

  it('is refused where the plan takes its record away, even if it is served already', () => {
    const change = { key: served, planned: [nextRecord] };
    expect(outcome(change).refused).toContain(`TLSA ${servedRecord}`);
    expect(outcome({ ...change, served: '' }).refused).toContain(`TLSA ${servedRecord}`);
  });

  it('remembers no time to come, of a clock that was ahead', () => {
    const ahead: [number, (string | undefined)[]] = [100_000, [servedRecord, nextRecord]];
    expect(outcome({ looks: [ahead] })).toEqual({ refused: null, waited: 301 });
  });

  it('is refused where no record names it', () => {
    expect(outcome({ out: [servedRecord] }).refused).toContain(`TLSA ${nextRecord}`);
  });
});
