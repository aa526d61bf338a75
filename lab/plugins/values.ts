import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';

/** Property values without the engine's wrappers. */
export type Properties = Record<string, unknown>;

/** Stands for a value that is known only after creation. */
export const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

/** Marks an object as a value of a special kind; its value tells which. */
const signature = '4dabf18193072939515e22adb298388d';
const secretKind = '1b47061264138c4ac30d75fd1eb44270';
const outputKind = 'd0e6a833031e9bbcd3f4e8bde6ca49a4';
const resourceKind = '5cf8f73096256a8f31e491e813e4eb8e';

export const holdsUnknown = (value: unknown) => JSON.stringify(value ?? null).includes(unknown);

export function isObject(value: unknown): value is Properties {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Properties as the engine sent them, wrappers and all. */
export const received = (struct: Struct | undefined): Properties => struct?.toJavaScript() ?? {};

/** What the official plugins keep for themselves in inputs and state. */
const bridgeNames = ['__defaults', '__meta'];

/** The values alone: what is null is not there, as in the state of the official plugins. */
export function plain<T>(value: T): T;
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => plain<unknown>(item));
  if (!isObject(value)) return value;
  switch (value[signature]) {
    case secretKind:
      return plain(value.value);
    case outputKind:
      return 'value' in value ? plain(value.value) : unknown;
    case resourceKind:
      return value.id ?? value.urn;
    default:
      return Object.fromEntries(
        Object.entries(value)
          .filter(([name]) => !bridgeNames.includes(name))
          .map(([name, item]) => [name, plain(item)] as const)
          .filter(([, item]) => item !== undefined && item !== null),
      );
  }
}

/**
 * The engine's form of `values`.
 *
 * @param like properties as received: what is secret in them is secret in the result
 * @param secrets names of properties that are secret in any case
 */
export function sent(values: Properties, like: Properties, secrets: string[] = []): Struct {
  const sealed = mapValues(values, (value, name) =>
    secrets.includes(name) ? secret(value) : sealLike(value, like[name]),
  );
  return Struct.fromJavaScript(sealed as Record<string, JavaScriptValue>);
}

const secret = (value: unknown) => ({ [signature]: secretKind, value: sealLike(value, undefined) });

function sealLike(value: unknown, like: unknown): unknown {
  if (isObject(like) && like[signature] === secretKind) return secret(value);
  if (isObject(like) && like[signature] === outputKind) {
    return like.secret === true ? secret(value) : sealLike(value, like.value);
  }
  if (Array.isArray(value)) {
    return value.map((item, i) => sealLike(item, Array.isArray(like) ? like[i] : undefined));
  }
  return isObject(value)
    ? mapValues(value, (item, key) => sealLike(item, isObject(like) ? like[key] : undefined))
    : value;
}

/** Properties that are undefined are left out: the engine's form knows none. */
function mapValues(object: Properties, change: (value: unknown, key: string) => unknown) {
  return Object.fromEntries(
    Object.entries(object)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, change(value, key)]),
  );
}
