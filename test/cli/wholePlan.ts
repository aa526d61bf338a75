import { isDeepStrictEqual } from 'node:util';
import * as pulumi from '@pulumi/pulumi';
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

/** The preview of the change from some resources to others, as `pulumi preview --json` writes it. */
export function previewOf(before: Recorded[], after: Recorded[]): string {
  const old = new Map(before.map((one) => [idOf(one), one]));
  const next = new Map(after.map((one) => [idOf(one), one]));
  const ids = [...new Set([...old.keys(), ...next.keys()])];
  const steps = ids.flatMap((id) => {
    const [from, to] = [old.get(id), next.get(id)];
    const differing =
      from && to
        ? Object.keys({ ...from.inputs, ...to.inputs }).filter(
            (key) => !isDeepStrictEqual(inputsOf(from)[key], inputsOf(to)[key]),
          )
        : [];
    if (from && to && differing.length === 0) return [];
    const state = (one?: Recorded) => one && { inputs: plain(one.inputs, true) };
    return {
      op: from ? (to ? 'update' : 'delete') : 'create',
      urn: `urn:pulumi:prod::mail::mailhost:index:MailHost$${id}`,
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
