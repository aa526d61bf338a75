"""A mailbox in an archive, as a source of a copy."""

import collections
import dataclasses
import functools
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence

from mailhost.failure import Failure
from mailhost.imports import maildir, mbox
from mailhost.imports.archive import MOST, Archive, File, Path
from mailhost.imports.messages import Entry, Folder, Listing, Message, name_of

#: The last second of IMAP's dates.
LAST = 253_402_300_799


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A message in the archive."""

    start: int
    end: int
    read: Callable[[bytes], mbox.Read | None]
    #: When none is in the message, in seconds since 1970.
    arrived: int
    #: What names it for as long as it is there; None where nothing does.
    name: str | None


class LocalSource:
    """Of one user: a Maildir, or if there is none, files of mbox."""

    labels = False

    def __init__(self, archive: Archive, user: str) -> None:
        self.archive, self.user = archive, user
        self.found: dict[str, tuple[Folder, Callable[[], list[Stored]]]] = {}
        #: Messages by folder and number.
        self.numbered: dict[str, dict[int, Stored]] = {}
        self.unreadable: list[str] = []
        root = self.maildirs() if archive.maildirs else self.mboxes()
        for path, why in archive.unreadable.items():
            if path[: len(root)] == root:
                self.unreadable.append(f"{maildir.clean('/'.join(path))} {why}")

    def maildirs(self) -> Path:
        places = maildir.places(self.archive.maildirs)
        root = maildir.root_of({place.root for place in places.values()}, self.user)
        if root is None:
            others = sorted({"/".join(place.root) or "." for place in places.values()})
            raise Failure(
                f"it has several mailboxes, and none is surely that of {self.user}: {maildir.clean(', '.join(others[:10]))}"
                f"{', …' if len(others) > 10 else ''}. Set user to the end of its path, such as example.org/anna"
            )
        subscribed = maildir.subscriptions_of(self.archive, root)
        for path, place in sorted(places.items()):
            if place.root == root and not (len(place.parts) > 1 and place.parts[0] == ""):
                self.add(path[len(root) :], place.parts, subscribed, functools.partial(self.of_maildir, path))
        return root

    def of_maildir(self, path: Path) -> list[Stored]:
        keywords = maildir.keywords_of(self.archive, path)

        def stored(file: File) -> Stored:
            flags, start = maildir.flags_of(file, keywords), file.piece.start
            name = maildir.INFO.split(file.name, maxsplit=1)[0]

            def read(text: bytes) -> mbox.Read:
                return mbox.Read(text, flags, None)

            return Stored(start, start + file.piece.size, read, maildir.arrival_of(file), name)

        return sorted(map(stored, self.archive.maildirs[path]), key=lambda one: (one.arrived, one.name))

    def mboxes(self) -> Path:
        paths = list(self.archive.mboxes)
        if not paths:
            raise Failure("it has neither a Maildir nor a file of mbox")
        root = paths[0][:-1]
        while any(path[: len(root)] != root for path in paths):
            root = root[:-1]
        subscribed = maildir.subscriptions_of(self.archive, root)
        own = {"inbox", "mbox", self.user.lower(), self.user.partition("@")[0].lower()}
        for path, file in self.archive.mboxes.items():
            # Thunderbird has what is below a folder in `FOLDER.sbd`.
            parts = tuple(re.sub(r"\.(?:mbox|sbd)$", "", part) for part in path[len(root) :])
            if len(parts) == 1 and parts[0].lower() in own:
                parts = ("INBOX",)
            self.add(path[len(root) :], parts, subscribed, functools.partial(self.of_mbox, file))
        return root

    def of_mbox(self, file: File) -> list[Stored]:
        start = file.piece.start
        text = memoryview(self.archive.text)[start : start + file.piece.size]
        found = list(mbox.spans(text))
        quoted = mbox.is_quoted(text, found)
        text.release()
        for one in found:
            if one.end - one.start > MOST:
                self.unreadable.append(f"a message of {maildir.clean(file.name)} is larger than {MOST >> 20} MB")

        def read(text: bytes) -> mbox.Read | None:
            return mbox.read(text, quoted)

        return [
            Stored(start + one.start, start + one.end, read, file.changed, None)
            for one in found
            if one.end - one.start <= MOST
        ]

    def add(self, path: Path, parts: tuple[str, ...], subscribed: set[str], stored: Callable[[], list[Stored]]) -> None:
        name = maildir.clean("/".join(path)) or "INBOX"
        shown = tuple(map(maildir.shown, parts))
        self.found[name] = Folder(name, shown, None, maildir.is_subscribed(parts, subscribed)), stored

    def folders(self) -> list[Folder]:
        return [folder for folder, _ in self.found.values()]

    def listing(self, folder: Folder) -> Listing:
        numbered: dict[int, Stored] = {}
        entries: dict[int, Entry] = {}
        times: collections.Counter[tuple[str, int]] = collections.Counter()
        for stored in self.found[folder.name][1]():
            if message := self.read(stored):
                head = message.text.partition(b"\r\n\r\n")[0]
                entry = Entry(name_of(head), len(message.text), message.flags)
                times[entry.key] += 1
                uid = number(stored.name or f"{entry.name} {entry.size} {times[entry.key]}")
                while uid in entries:
                    uid += 1
                numbered[uid], entries[uid] = stored, entry
        self.numbered[folder.name] = numbered
        # A message has the same number in each archive.
        return Listing(1, entries)

    def read(self, stored: Stored) -> Message | None:
        found = stored.read(bytes(self.archive.text[stored.start : stored.end]))
        if found is None:
            return None
        arrived = stored.arrived if found.arrived is None else found.arrived
        return Message(found.flags, date(arrived), re.sub(rb"\r?\n", b"\r\n", found.text))

    def messages(self, folder: Folder, uids: Sequence[int]) -> Iterator[tuple[int, Message]]:
        for uid in uids:
            if message := self.read(self.numbered[folder.name][uid]):
                yield uid, message


def number(name: str) -> int:
    octets = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(octets[:7]) + 1


def date(seconds: int) -> str:
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(max(0, min(seconds, LAST))))
