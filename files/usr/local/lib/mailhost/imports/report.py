"""Compares a mailbox of the other host with the account's here, message by message."""

import collections
import dataclasses

from mailhost.imports.copying import Copy, Key


@dataclasses.dataclass(frozen=True)
class Named:
    """A message that one side has."""

    folder: str
    #: Its Message-ID, or a hash of its headers.
    message: str
    size: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    #: Messages that both have.
    equal: int
    #: Messages that are here in another folder.
    elsewhere: int
    #: Messages that were copied, and deleted here since.
    deleted: tuple[Named, ...]
    #: Messages that are at the other host alone.
    missing: tuple[Named, ...]
    #: Messages that are here alone.
    here: tuple[Named, ...]


def compare(copy: Copy) -> Comparison:
    """By Message-ID and size; where a server gives another size than it sends, by Message-ID."""
    wanted: dict[str, collections.Counter[Key]] = collections.defaultdict(collections.Counter)
    for part in copy.parts:
        wanted[part.target].update(entry.key for entry in part.there.entries.values())
    present = {
        name: collections.Counter(entry.key for entry in copy.here.listing(name).entries.values())
        for name in copy.here.folders()
    }
    equal = 0
    missing: dict[str, collections.Counter[Key]] = {}
    for folder, keys in wanted.items():
        here = present.setdefault(folder, collections.Counter())
        both = keys & here
        equal += both.total()
        missing[folder], present[folder] = keys - both, here - both
    for folder in missing:
        equal += pair(missing[folder], present[folder])
    elsewhere = 0
    for rest in missing.values():
        for here in present.values():
            elsewhere += pair(rest, here)
    settled = collections.Counter(one.key for one in copy.memory.copied().values())
    deleted = {
        folder: collections.Counter({key: n for key, n in rest.items() if settled[key]})
        for folder, rest in missing.items()
    }
    return Comparison(
        equal,
        elsewhere,
        named(deleted),
        named({folder: rest - deleted[folder] for folder, rest in missing.items()}),
        named(present),
    )


def pair(left: "collections.Counter[Key]", right: "collections.Counter[Key]") -> int:
    """Takes out of both what has one Message-ID, and gives how many messages that are."""
    sizes: dict[str, list[Key]] = collections.defaultdict(list)
    for key in right.elements():
        sizes[key[0]].append(key)
    count = 0
    for key in list(left.elements()):
        if sizes.get(key[0]):
            right.subtract([sizes[key[0]].pop()])
            left.subtract([key])
            count += 1
    for counter in (left, right):
        for key in [key for key, number in counter.items() if number <= 0]:
            del counter[key]
    return count


def named(keys: "dict[str, collections.Counter[Key]]") -> tuple[Named, ...]:
    return tuple(Named(folder, name, size) for folder in sorted(keys) for name, size in sorted(keys[folder].elements()))
