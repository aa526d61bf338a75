"""Copies one mailbox: what is new, what changed its flags, and what was filed elsewhere, since the last time."""

import collections
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator

from mailhost.failure import Failure
from mailhost.imports.mailbox import Full, Mailbox
from mailhost.imports.memory import FOLDER, Copied, Memory, Place
from mailhost.imports.messages import Entry, Folder, Listing, Message, Source, batches
from mailhost.imports.names import ALL, targets

Key = tuple[str, int]


@dataclasses.dataclass
class Progress:
    """Of one account; messages and octets that are to be copied, and that are."""

    messages: int = 0
    octets: int = 0
    total_messages: int = dataclasses.field(default=0, metadata={"key": "totalMessages"})
    total_octets: int = dataclasses.field(default=0, metadata={"key": "totalOctets"})


@dataclasses.dataclass
class Counts:
    """What one run did."""

    copied: int = 0
    #: In another folder since the last time, as at the other host.
    moved: int = 0
    #: With other flags since the last time, as at the other host.
    flagged: int = 0
    #: Messages that Dovecot refused, each with its reason.
    refused: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Part:
    """A folder of the other host, and what is to be done with its messages."""

    folder: Folder
    target: str
    there: Listing
    new: list[int] = dataclasses.field(default_factory=list)


class Copy:
    """One run for one account."""

    def __init__(self, source: Source, here: Mailbox, memory: Memory, given: dict[str, str]) -> None:
        self.source, self.here, self.memory, self.given = source, here, memory, given
        self.counts = Counts()
        self.progress = Progress()
        self.parts: list[Part] = []
        self.known: dict[tuple[str, int], Copied] = {}
        self.local: dict[str, Listing] = {}

    def compare_lists(self) -> None:
        """Reads what both sides have, and makes folders."""
        present = set(self.here.folders())
        seen: set[Key] = set()
        for folder, target in targets(self.source.folders(), self.given):
            listing = self.source.listing(folder)
            entries = listing.entries
            # One message can be in several folders there, and is in the first of them here.
            if self.source.labels or folder.use == ALL:
                entries = {uid: entry for uid, entry in entries.items() if entry.key not in seen}
            seen.update(entry.key for entry in entries.values())
            listing = Listing(listing.validity, entries)
            is_known = self.memory.is_known(folder.name, listing.validity)
            self.parts.append(Part(folder, target, listing))
            # Later, a user may have deleted or unsubscribed it here.
            if not is_known:
                if target not in present:
                    self.here.create(target)
                    present.add(target)
                if folder.subscribed:
                    self.here.subscribe(target)
        self.known = self.memory.copied()
        for target in {part.target for part in self.parts} & present:
            self.local[target] = self.here.listing(target)

    def plan(self) -> None:
        """Decides what each message needs; moves and flags are done at once."""
        there = {part.folder.name: part.there.entries for part in self.parts}
        gone: dict[Key, list[Copied]] = collections.defaultdict(list)
        for one in self.known.values():
            if one.uid not in there.get(one.folder, {}):
                gone[one.key].append(one)
        claimed = {
            (one.place.folder, one.place.uid) for one in self.known.values() if one.place and self.has(one.place)
        }
        spare: dict[str, dict[Key, list[int]]] = {}
        for target, listing in self.local.items():
            spare[target] = collections.defaultdict(list)
            for uid, entry in listing.entries.items():
                if (target, uid) not in claimed:
                    spare[target][entry.key].append(uid)
        for part in self.parts:
            self.plan_part(part, gone, spare.get(part.target, {}))
        self.progress.total_messages = sum(len(part.new) for part in self.parts)
        self.progress.total_octets = sum(part.there.entries[uid].size for part in self.parts for uid in part.new)

    def plan_part(self, part: Part, gone: dict[Key, list[Copied]], spare: dict[Key, list[int]]) -> None:
        noted: list[Copied] = []
        changes: dict[str, list[int]] = collections.defaultdict(list)
        for uid, entry in part.there.entries.items():
            before = self.known.get((part.folder.name, uid))
            if before:
                if before.flags != entry.flags:
                    if before.place and before.place.folder == part.target and self.has(before.place):
                        for change in changes_of(before.flags, entry.flags):
                            changes[change].append(before.place.uid)
                        self.counts.flagged += 1
                    noted.append(dataclasses.replace(before, flags=entry.flags))
            elif spare.get(entry.key):
                place = Place(part.target, self.local[part.target].validity, spare[entry.key].pop())
                noted.append(copied(part.folder, uid, entry, place))
            elif gone.get(entry.key):
                self.follow(part, uid, entry, gone[entry.key].pop())
            else:
                part.new.append(uid)
        if changes:
            self.here.open(part.target)
            self.here.change_flags(changes)
        self.memory.note(noted)

    def has(self, place: Place) -> bool:
        """Whether a message is where it was put."""
        if place.folder not in self.local:
            try:
                self.local[place.folder] = self.here.listing(place.folder)
            except Failure:
                # A user has deleted the folder.
                self.local[place.folder] = Listing(0, {})
        listing = self.local[place.folder]
        return listing.validity == place.validity and place.uid in listing.entries

    def follow(self, part: Part, uid: int, entry: Entry, before: Copied) -> None:
        """A message that was filed elsewhere at the other host: its copy goes along, unless it was filed or deleted here."""
        place = None
        if before.place and self.has(before.place):
            if before.place.folder == part.target:
                place = before.place
            else:
                self.here.open(before.place.folder)
                moved = self.here.move(before.place.uid, part.target)
                place = Place(part.target, *moved) if moved else None
                self.counts.moved += 1
            if place and entry.flags != before.flags:
                self.here.open(part.target)
                self.here.change_flags({change: [place.uid] for change in changes_of(before.flags, entry.flags)})
        self.memory.note([copied(part.folder, uid, entry, place)])
        self.memory.forget([before])

    def check_room(self) -> None:
        """Raises Full where the quota or the disk would not hold what is to be copied."""
        needed = self.progress.total_octets
        quota = self.here.quota()
        if quota and quota[0] + needed > quota[1]:
            raise Full(
                f"{self.here.account} needs {megabytes(needed)} MB more, and its quota of {megabytes(quota[1])} MB has "
                f"{megabytes(max(0, quota[1] - quota[0]))} MB left: nothing was copied. Set its quota to "
                f"{megabytes(quota[0] + needed) + 1} at least"
            )
        free = shutil.disk_usage(FOLDER).free
        if needed > free:
            raise Full(
                f"{self.here.account} needs {megabytes(needed)} MB more, and the volume has {megabytes(free)} MB left: "
                "nothing was copied"
            )

    def run(self, tell: Callable[[Progress], None]) -> None:
        for part in self.parts:
            for batch in batches(part.new, part.there.entries):
                found = dict(self.source.messages(part.folder, batch))
                self.put(part, found)
                self.progress.messages += len(batch)
                self.progress.octets += sum(part.there.entries[uid].size for uid in batch)
                tell(self.progress)

    def put(self, part: Part, messages: dict[int, Message]) -> None:
        """What is noted is on the disk."""
        placed = [*self.placed(part, messages)]
        os.sync()
        self.memory.note(
            copied(part.folder, uid, part.there.entries[uid], place, messages[uid].flags) for uid, place in placed
        )
        self.counts.copied += len(placed)

    def placed(self, part: Part, messages: dict[int, Message]) -> Iterator[tuple[int, Place]]:
        if not messages:
            return
        try:
            validity, numbers = self.append(part.target, messages)
            yield from ((uid, Place(part.target, validity, own)) for uid, own in zip(messages, numbers, strict=True))
        except Full:
            raise
        except Failure as failure:
            if len(messages) == 1:
                [(uid, message)] = messages.items()
                entry = part.there.entries[uid]
                self.counts.refused.append(f"{part.folder.name}: {entry.name}, {len(message.text)} octets: {failure}")
                return
            # One of them is at fault.
            for uid, message in messages.items():
                yield from self.placed(part, {uid: message})

    def append(self, target: str, messages: dict[int, Message]) -> tuple[int, list[int]]:
        try:
            return self.here.append(target, [*messages.values()])
        except Failure as failure:
            if "[TRYCREATE]" not in str(failure):
                raise
            # A user has deleted it here, and it has new mail there.
            self.here.create(target)
            return self.here.append(target, [*messages.values()])


def copied(folder: Folder, uid: int, entry: Entry, place: Place | None, flags: frozenset[str] | None = None) -> Copied:
    return Copied(folder.name, uid, entry.name, entry.size, entry.flags if flags is None else flags, place)


def changes_of(before: frozenset[str], now: frozenset[str]) -> Iterator[str]:
    """What makes the one set of flags the other, and leaves alone those that a user has changed here."""
    for sign, flags in (("+", now - before), ("-", before - now)):
        if flags:
            yield f"{sign}FLAGS.SILENT ({' '.join(sorted(flags))})"


def megabytes(octets: int) -> int:
    return -(-octets // (1 << 20))
