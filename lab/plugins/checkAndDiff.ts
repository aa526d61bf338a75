import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { differences, sameSet } from './difference';
import type { ResourceKind } from './resource';
import { holdsUnknown, plain, received, sent, type Properties } from './values';

/** Judges the inputs of a resource, with the defaults filled in. */
export function check(kind: ResourceKind, request: pb.CheckRequest): pb.CheckResponse {
  const given = received(request.getNews());
  const { normal = (all: Properties) => all } = kind;
  const inputs = normal({ ...kind.defaults, ...plain(given) });
  const mistakes = new Map<string, string>();
  for (const name of Object.keys(inputs)) {
    if (!kind.inputs.includes(name)) mistakes.set(name, 'the stand-in plugin has no such input');
  }
  for (const name of kind.required ?? []) {
    if (inputs[name] === undefined) mistakes.set(name, 'is required');
  }
  for (const [name, reason] of Object.entries(
    kind.check?.({ ...kind.outputDefaults, ...inputs }) ?? {},
  )) {
    if (!holdsUnknown(inputs[name])) mistakes.set(name, reason);
  }
  const failures = [...mistakes].map(([property, reason]) =>
    new pb.CheckFailure().setProperty(property).setReason(reason),
  );
  return new pb.CheckResponse()
    .setInputs(sent(inputs, given, kind.secrets))
    .setFailuresList(failures);
}

/** What a change of inputs means for a resource. */
export function diff(kind: Partial<ResourceKind>, request: pb.DiffRequest): pb.DiffResponse {
  const before = plain(received(request.getOldInputs()));
  const inputs = plain(received(request.getNews()));
  const after = { ...inputs };
  for (const name of kind.inputs ?? []) {
    const leftOut = after[name] === undefined && kind.optionalComputed?.includes(name);
    const reordered = kind.sets?.includes(name) && sameSet(before[name], after[name]);
    if (leftOut || reordered) after[name] = before[name];
  }
  const changed = differences(before, after).map(({ path, change }) => {
    const name = /^[^.[]+/.exec(path)![0];
    const replaces = kind.replaces?.includes(name) ?? false;
    return { path, name, kind: replaces ? (`${change}_REPLACE` as const) : change, replaces };
  });
  const outdated = kind.outdated?.(inputs, plain(received(request.getOlds()))) ?? [];

  const response = new pb.DiffResponse().setHasdetaileddiff(true);
  const details = response.getDetaileddiffMap();
  for (const { path, kind: name } of changed) {
    details.set(path, new pb.PropertyDiff().setKind(pb.PropertyDiff.Kind[name]).setInputdiff(true));
  }
  for (const name of outdated) {
    details.set(name, new pb.PropertyDiff().setKind(pb.PropertyDiff.Kind.UPDATE_REPLACE));
  }
  const replaces = changed
    .filter((c) => c.replaces)
    .map(({ name }) => name)
    .concat(outdated);
  const names = changed.map(({ name }) => name).concat(outdated);
  const { DIFF_SOME, DIFF_NONE } = pb.DiffResponse.DiffChanges;
  return response
    .setReplacesList([...new Set(replaces)])
    .setDiffsList([...new Set(names)])
    .setDeletebeforereplace(replaces.length > 0 && kind.deleteBeforeReplace === true)
    .setChanges(names.length > 0 ? DIFF_SOME : DIFF_NONE);
}
