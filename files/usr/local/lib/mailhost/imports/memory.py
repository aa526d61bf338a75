"""What was copied where, on the volume beside the mail: a repeated copy goes by it."""

import dataclasses
import hashlib
import pathlib
import sqlite3
from collections.abc import Iterable

FOLDER = pathlib.Path("/srv/mailhost/import")

SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (
    source TEXT, folder TEXT, validity INTEGER NOT NULL,
    PRIMARY KEY (source, folder)
);
CREATE TABLE IF NOT EXISTS messages (
    source TEXT, folder TEXT, uid INTEGER, name TEXT NOT NULL, size INTEGER NOT NULL, flags TEXT NOT NULL,
    target TEXT, target_validity INTEGER, target_uid INTEGER,
    PRIMARY KEY (source, folder, uid)
) WITHOUT ROWID;
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """Of a message, in a mailbox of this host."""

    folder: str
    validity: int
    uid: int


@dataclasses.dataclass(frozen=True)
class Copied:
    """A message of the other host that is settled."""

    folder: str
    uid: int
    name: str
    size: int
    #: As they were there.
    flags: frozenset[str]
    #: Where it was put; None where it was in another folder there before, and its copy is not where that was put.
    place: Place | None

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.size


class Memory:
    """Of one account, and one place that its mail comes from."""

    def __init__(self, account: str, source: str) -> None:
        self.source = source
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        # An address may have an apostrophe; and no two of them one file.
        name = hashlib.sha256(account.encode()).hexdigest()[:32]
        self.file = FOLDER / f"{name}.sqlite"
        self.connection = sqlite3.connect(self.file)
        self.file.chmod(0o600)
        self.connection.executescript(SCHEMA)

    def close(self) -> None:
        self.connection.close()

    def is_known(self, folder: str, validity: int) -> bool:
        """Whether the folder was copied before. What is known of its messages is forgotten where their numbers are others."""
        query = "SELECT validity FROM folders WHERE source = ? AND folder = ?"
        row = self.connection.execute(query, (self.source, folder)).fetchone()
        if row == (validity,):
            return True
        with self.connection:
            self.connection.execute("DELETE FROM messages WHERE source = ? AND folder = ?", (self.source, folder))
            self.connection.execute("REPLACE INTO folders VALUES (?, ?, ?)", (self.source, folder, validity))
        return row is not None

    def copied(self) -> dict[tuple[str, int], Copied]:
        """By folder and number."""
        query = """SELECT folder, uid, name, size, flags, target, target_validity, target_uid
            FROM messages WHERE source = ?"""
        return {
            (folder, uid): Copied(
                folder, uid, name, size, frozenset(flags.split()), Place(*place) if place[0] is not None else None
            )
            for folder, uid, name, size, flags, *place in self.connection.execute(query, (self.source,))
        }

    def note(self, copies: Iterable[Copied]) -> None:
        rows = [
            (
                *(self.source, one.folder, one.uid, one.name, one.size, " ".join(sorted(one.flags))),
                *((one.place.folder, one.place.validity, one.place.uid) if one.place else (None, None, None)),
            )
            for one in copies
        ]
        with self.connection:
            self.connection.executemany("REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self, gone: Iterable[Copied]) -> None:
        rows = [(self.source, one.folder, one.uid) for one in gone]
        with self.connection:
            self.connection.executemany("DELETE FROM messages WHERE source = ? AND folder = ? AND uid = ?", rows)
