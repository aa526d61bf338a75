import { describe, expect, it } from 'vitest';
import { parsePlan } from '../../cli/review/plan';
import { sampleText, step } from './samples';

const server = step('hcloud:index/server:Server', 'update', { serverType: 'cx23' }, {});

describe('a preview', () => {
  it('has steps, messages and the number of resources that were compared', () => {
    const plan = parsePlan(sampleText('removedDomain'));
    expect(plan.stack).toBe('mailhost/dev');
    expect(plan.resources).toBe(91);
    expect(plan.diagnostics.map(({ severity }) => severity)).toEqual(['warning']);
    expect(plan.diagnostics[0]!.message).toMatch(/^confirmed: example\.net would/);
    expect(plan.steps.find(({ name }) => name === 'mail-example.net/mx')).toMatchObject({
      op: 'delete',
      type: 'cloudflare:index/dnsRecord:DnsRecord',
      before: { inputs: { type: 'MX', content: 'mail.example.org' }, protect: false },
      after: undefined,
    });
  });

  it('has a resource whose name has the separator of URNs in it', () => {
    const [one] = parsePlan(
      JSON.stringify({ steps: [{ op: 'create', urn: 'urn:pulumi:s::p::a:b:C$d:e:F::x::y' }] }),
    ).steps;
    expect(one).toMatchObject({ type: 'd:e:F', name: 'x::y' });
  });

  it('may have warnings before it, and fields that are not known here', () => {
    const text = `warning: something {odd}\n${JSON.stringify({ steps: [server], future: { a: 1 } }, undefined, 4)}`;
    expect(parsePlan(text).steps).toHaveLength(1);
  });

  it('has no report of the program, which is a review of the same', () => {
    const diagnostics = ['Review: Harmless: 3 changed\nEffects', 'another message'].map(
      (message) => ({ message: `info: ${message}`, severity: 'info' }),
    );
    expect(parsePlan(JSON.stringify({ diagnostics })).diagnostics).toEqual([
      { message: 'another message', severity: 'info' },
    ]);
  });

  it('has no traces of the program that the engine no longer listens to, and no colours', () => {
    const lines = [
      'before\n',
      'failed to deliver log message. \n',
      'error: Error: Channel has been shut down\n',
      '\u001b[36m<ref *1>\u001b[39m Error: 14 UNAVAILABLE\n',
      ' message severity: error\n',
      '\u001b[31mafter\u001b[39m\n',
    ];
    const diagnostics = [
      ...lines.slice(0, 3).map((message) => ({ message, severity: 'info#err' })),
      { message: 'error: Duplicate resource URN', severity: 'error' },
      ...lines.slice(3).map((message) => ({ message, severity: 'info#err' })),
    ];
    expect(parsePlan(JSON.stringify({ diagnostics })).diagnostics).toEqual([
      { message: 'before', severity: 'info#err' },
      { message: 'Duplicate resource URN', severity: 'error' },
      { message: 'after', severity: 'info#err' },
    ]);
  });

  it('has no number of resources if it ended early, and no word of where plugins lie', () => {
    const message = 'warning: using pulumi-language-nodejs from $PATH at /home/me/bin';
    const plan = parsePlan(JSON.stringify({ diagnostics: [{ message, severity: 'warning' }] }));
    expect(plan).toMatchObject({ resources: undefined, diagnostics: [], steps: [] });
  });

  it.each([
    ['nothing', '', 'holds no JSON object'],
    ['a log', 'error: no stack named "x" found\n', 'holds no JSON object'],
    ['half of one', sampleText('nothing').slice(0, 300), 'cut off or damaged'],
    [
      'a stream of events',
      '{"sequence":1}\n{"sequence":2}\n',
      'PULUMI_ENABLE_STREAMING_JSON_PREVIEW',
    ],
    [
      'the state of a stack',
      '{"version":3,"deployment":{}}',
      'neither steps, diagnostics nor a summary',
    ],
    ['a saved plan', '{"manifest":{},"resourcePlans":{}}', 'this is a saved plan (`--save-plan`)'],
    ['another shape', '{"steps":[{"op":7}]}', 'not a preview as the engine writes it'],
  ])('is not %s: the error says so', (_, text, message) => {
    expect(() => parsePlan(text)).toThrow(message);
  });

  it('that is damaged is not quoted by the error', () => {
    expect(() => parsePlan('{"steps": hunter2-secret')).toThrow(/^(?!.*hunter2)/s);
  });
});
