"""What both sides of a copy have in common: folders, and how one message is told from another."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

#: The headers that name a message.
NAMING = ("MESSAGE-ID", "DATE", "FROM", "TO", "SUBJECT")
#: What one request fetches or appends at most: more is not faster, and is held in memory.
MOST_MESSAGES = 100
MOST_OCTETS = 8 << 20


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of the other host."""

    #: As that host has it.
    name: str
    #: Its parts, without the prefix of the host's namespace.
    parts: tuple[str, ...]
    #: Its use (RFC 6154), e.g. `\\Sent`.
    use: str | None = None
    subscribed: bool = False


@dataclasses.dataclass(frozen=True)
class Entry:
    """A message in a folder, without its text."""

    #: Message-ID, or where it has none, a hash of the headers that name it.
    name: str
    #: Octets, with CRLF at the end of each line.
    size: int
    flags: frozenset[str]

    @property
    def key(self) -> tuple[str, int]:
        """Two messages that have the same one are taken for copies of one message."""
        return self.name, self.size


@dataclasses.dataclass(frozen=True)
class Message:
    flags: frozenset[str]
    #: When it arrived, in the form of IMAP: `01-Feb-2021 10:00:00 +0100`.
    date: str
    text: bytes


@dataclasses.dataclass(frozen=True)
class Listing:
    #: The numbers of the messages are good for as long as this one stays (RFC 9051, section 2.3.1.1).
    validity: int
    entries: Mapping[int, Entry]


class Source(Protocol):
    """Where mail is copied from."""

    #: Whether a message can be in several folders at once, as with the labels of Gmail.
    labels: bool

    def folders(self) -> list[Folder]: ...
    def listing(self, folder: Folder) -> Listing: ...

    def messages(self, folder: Folder, uids: Sequence[int]) -> Iterator[tuple[int, Message]]:
        """Those that are still there."""
        ...


def name_of(header: bytes) -> str:
    """The name of a message by its header."""
    lines = re.sub(rb"\r?\n[ \t]+", b" ", header).splitlines()
    fields: dict[bytes, bytes] = {}
    for line in lines:
        if not line:
            break
        field, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(field.strip().upper(), b" ".join(value.split()))
    own = fields.get(b"MESSAGE-ID")
    if own:
        return own.decode("utf-8", "replace")
    named = b"\n".join(fields.get(field.encode(), b"") for field in NAMING)
    return f"sha256:{hashlib.sha256(named).hexdigest()}"


def batches(uids: Iterable[int], entries: Mapping[int, Entry]) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for uid in uids:
        octets = entries[uid].size
        if batch and (len(batch) == MOST_MESSAGES or size + octets > MOST_OCTETS):
            yield batch
            batch, size = [], 0
        batch.append(uid)
        size += octets
    if batch:
        yield batch


def uid_set(uids: Iterable[int]) -> str:
    """In the form of IMAP: `1:3,7`."""
    ranges: list[list[int]] = []
    for uid in sorted(uids):
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(f"{first}" if first == last else f"{first}:{last}" for first, last in ranges)


def uids_in(text: str) -> list[int]:
    """The other way round, in the order of the text."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found
