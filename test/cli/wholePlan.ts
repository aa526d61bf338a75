import { isDeepStrictEqual } from 'node:util';
import * as pulumi from '@pulumi/pulumi';
import type { Step } from '../../components/review/plan';
import { plannedStep, removalStep, type Properties } from '../../components/review/planned';
import { reportOf } from '../../components/review/report';
import { reviewOf } from '../../components/review/review';
import { fromJson } from '../../components/review/values';
import { MailHost } from '../../components/mailHost';
import type { MailHostArgs } from '../../components/mailHostArgs';
import { example } from '../example';
import { record, type Recorded } from '../mocks';

/** All resources of a mail host with these settings, as `up` makes them. */
export const planned = (change: Partial<MailHostArgs>): Promise<Recorded[]> =>
  record((opts) => void new MailHost('mail', { ...example, ...change }, opts));

/** A value as it is, or as the engine writes it in a preview: `[secret]` for each secret. */
function plain(value: unknown, hidden: boolean): unknown {
  if (pulumi.runtime.isRpcSecret(value))
    return hidden ? '[secret]' : plain(pulumi.runtime.unwrapRpcSecret(value), hidden);
  if (Array.isArray(value)) return value.map((item) => plain(item, hidden));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, plain(inner, hidden)]),
  );
}

const inputsOf = ({ inputs }: Recorded) => plain(inputs, false) as Record<string, unknown>;
const idOf = ({ type, name }: Recorded) => `${type}::${name}`;
const urnOf = (id: string) => `urn:pulumi:prod::mail::mailhost:index:MailHost$${id}`;

/** The inputs that differ. */
const differingIn = (from?: Recorded, to?: Recorded): string[] =>
  from && to
    ? Object.keys({ ...from.inputs, ...to.inputs }).filter(
        (key) => !isDeepStrictEqual(inputsOf(from)[key], inputsOf(to)[key]),
      )
    : [];

/** Inputs as a hook of the engine has them: secrets in plain, and marked. */
const propertiesOf = ({ inputs }: Recorded): Properties =>
  Object.fromEntries(
    Object.entries(inputs).map(([key, input]) => {
      const [value, hidden] = [plain(input, false), plain(input, true)];
      return [key, { value, isSecret: !isDeepStrictEqual(value, hidden) }];
    }),
  );

/** The report of the program in the preview of the change from some resources to others, in full. */
export function reportIn(before: Recorded[], after: Recorded[]): string {
  const [old, next] = [before, after].map((all) => new Map(all.map((one) => [idOf(one), one])));
  const ids = [...new Set([...old!.keys(), ...next!.keys()])];
  const steps = ids.flatMap((id): Step[] => {
    const [from, to] = [old!.get(id), next!.get(id)];
    const { type, name } = (to ?? from)!;
    const urn = urnOf(id);
    if (from && to && differingIn(from, to).length === 0) return [];
    if (to === undefined) return [removalStep(urn, type, name, inputsOf(from!))];
    const planned = {
      urn,
      type,
      name,
      before: from && propertiesOf(from),
      after: propertiesOf(to),
    };
    return [plannedStep({ ...planned, op: from ? 'update' : 'create' }, ['mail-'])];
  });
  const review = reviewOf({ stack: '', steps, diagnostics: [], outputs: {} });
  return reportOf(review, { resources: ids.length, files: 0, records: 0 }, 'full', false);
}

/** The preview of the change from some resources to others, as `pulumi preview --json` writes it. */
export function previewOf(before: Recorded[], after: Recorded[]): string {
  const old = new Map(before.map((one) => [idOf(one), one]));
  const next = new Map(after.map((one) => [idOf(one), one]));
  const ids = [...new Set([...old.keys(), ...next.keys()])];
  const steps = ids.flatMap((id) => {
    const [from, to] = [old.get(id), next.get(id)];
    const differing = differingIn(from, to);
    if (from && to && differing.length === 0) return [];
    const state = (one?: Recorded) => one && { inputs: plain(one.inputs, true) };
    return {
      op: from ? (to ? 'update' : 'delete') : 'create',
      urn: urnOf(id),
      oldState: state(from),
      newState: state(to),
      diffReasons: differing,
    };
  });
  return JSON.stringify({
    steps,
    changeSummary: { same: next.size - steps.length, update: steps.length },
  });
}

/** All texts in the inputs of resources, secrets among them, and those inside of JSON. */
export function stringsIn(resources: Recorded[]): string[] {
  const within = (value: unknown): string[] => {
    if (typeof value === 'string') {
      const data = fromJson(value);
      return data === undefined ? [value] : within(data);
    }
    return value !== null && typeof value === 'object' ? Object.values(value).flatMap(within) : [];
  };
  return resources.flatMap((resource) => within(inputsOf(resource)));
}
