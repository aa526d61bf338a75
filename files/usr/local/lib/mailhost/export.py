"""
An account as files that other mail hosts read: Maildir++ or mbox, with the scripts of Sieve, as one tar.

Dovecot itself reads the mailbox, as the account and by IMAP, so that the files do not depend on how it lies on the disk, and
that no message is missed which a client moves meanwhile.
"""

import dataclasses
import email.utils
import imaplib
import io
import json
import re
import shlex
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from mailhost import folders
from mailhost.backup import ROOT
from mailhost.failure import Failure
from mailhost.imports.maildir import MOST_KEYWORDS
from mailhost.restore import user_of
from mailhost.system import host_name, run

#: A session of a user who is logged in.
PROGRAM = "/usr/lib/dovecot/imap"
#: Letters of flags in names of Maildir files, in their order there.
LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
#: A line of a message that a reader of mbox would take for the begin of the next, or for one that was written so.
FROM = re.compile(rb"^(>*From )", re.MULTILINE)
ATTRIBUTES = re.compile(
    rb'\bUID (?P<uid>\d+)|\bFLAGS \((?P<flags>[^)]*)\)|(?P<date>INTERNALDATE "[^"]*")', re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Message:
    uid: int
    flags: tuple[str, ...]
    #: Seconds since 1970, when it arrived.
    arrival: int
    #: With line ends of Unix.
    text: bytes

    @property
    def keywords(self) -> tuple[str, ...]:
        return tuple(flag for flag in self.flags if not flag.startswith("\\"))


class Tar:
    """A tar that is written as it comes; nothing in it has an owner of this host."""

    def __init__(self, tar: tarfile.TarFile, top: str):
        self.tar = tar
        self.top = top

    def entry(self, path: str) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(f"{self.top}/{path}")
        # Of 1970, a folder would not be read by who looks for what is new in it.
        entry.mtime, entry.mode = int(time.time()), 0o600
        return entry

    def put(self, path: str, content: BinaryIO, size: int, arrival: int | None = None) -> None:
        entry = self.entry(path)
        entry.size, entry.mtime = size, entry.mtime if arrival is None else arrival
        self.tar.addfile(entry, content)

    def text(self, path: str, text: bytes, arrival: int | None = None) -> None:
        self.put(path, io.BytesIO(text), len(text), arrival)

    def folder(self, path: str) -> None:
        entry = self.entry(path)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o700
        self.tar.addfile(entry)

    def link(self, path: str, target: str) -> None:
        entry = self.entry(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(entry)


class Format(Protocol):
    def add(self, name: str, messages: Iterator[Message]) -> int: ...

    def end(self, subscribed: list[str]) -> None: ...


class Maildir:
    """As Dovecot and Courier have it: `Archive/2024` is `.Archive.2024`."""

    def __init__(self, tar: Tar):
        self.tar = tar
        #: The folder of the disk of each name.
        self.places = {"INBOX": ""}

    def place(self, name: str) -> str:
        plain = folders.old_name(folders.stored(name))
        while f".{plain}" in self.places.values():
            plain += "_"
        if plain.replace(".", "/") != "/".join(folders.stored(name)):
            say(f"the folder {name} is called {plain}: no name of Maildir++ has a dot, nor more than 250 octets")
        return self.places.setdefault(name, f".{plain}")

    def add(self, name: str, messages: Iterator[Message]) -> int:
        place = "" if name == "INBOX" else f"{self.place(name)}/"
        for part in ("", "cur/", "new/", "tmp/"):
            self.tar.folder(f"Maildir/{place}{part}")
        if place:
            self.tar.text(f"Maildir/{place}maildirfolder", b"")
        known: list[str] = []
        count = 0
        for count, message in enumerate(messages, 1):  # noqa: B007
            known += [word for word in message.keywords if word not in known]
            letters = [letter for flag, letter in LETTERS.items() if flag in message.flags]
            letters += [chr(ord("a") + at) for word in message.keywords if (at := known.index(word)) < MOST_KEYWORDS]
            file = f"{message.arrival}.U{message.uid}.{host_name()},S={len(message.text)}:2,{''.join(sorted(letters))}"
            self.tar.text(f"Maildir/{place}cur/{file}", message.text, message.arrival)
        if known:
            lines = "".join(f"{at} {word}\n" for at, word in enumerate(known[:MOST_KEYWORDS]))
            self.tar.text(f"Maildir/{place}dovecot-keywords", lines.encode())
        for word in known[MOST_KEYWORDS:]:
            say(f"the keyword {word} of {name} is left out: a Maildir has room for {MOST_KEYWORDS}")
        return count

    def end(self, subscribed: list[str]) -> None:
        # A folder that is subscribed to need not be there.
        names = [
            self.places.get(name, f".{folders.old_name(folders.stored(name))}")[1:] or "INBOX" for name in subscribed
        ]
        self.tar.text("Maildir/subscriptions", "".join(f"{name}\n" for name in names).encode())


class Mbox:
    """One file of each folder, in the form mboxrd: a `>` is put before each line of the form `>>From `, and can be taken off again."""

    def __init__(self, tar: Tar):
        self.tar = tar
        self.names: set[str] = set()

    def add(self, name: str, messages: Iterator[Message]) -> int:
        # It may be called as it is, but for what would lead out of the folder.
        path = "/".join(f"_{part[1:]}" if part[:1] in (".", "~") else part for part in name.split("/"))
        while path in self.names:
            path += "_"
        self.names.add(path)
        count = 0
        # The header of the tar has the size, which is known at the end.
        with tempfile.TemporaryFile(dir=ROOT) as file:
            for count, message in enumerate(messages, 1):  # noqa: B007
                file.write(as_mbox(message))
            size = file.tell()
            file.seek(0)
            self.tar.put(f"mbox/{path}.mbox", file, size)
        return count

    def end(self, subscribed: list[str]) -> None:
        self.tar.text("mbox/subscriptions", "".join(f"{name}\n" for name in subscribed).encode())


def as_mbox(message: Message) -> bytes:
    head, _, body = message.text.partition(b"\n\n")
    sender = re.search(rb"^Return-Path: *<([!-=?-~]+)>", head, re.MULTILINE | re.IGNORECASE)
    words = sender[1] if sender else b"MAILER-DAEMON"
    date = email.utils.formatdate(message.arrival).split()
    begin = f"{date[0].rstrip(',')} {date[2]} {int(date[1]):2d} {date[4]} {date[3]}".encode()
    # As mutt, Dovecot and Thunderbird read them; what another host has written there is none of this mailbox.
    head = re.sub(
        rb"^(?:X-)?(?:Status|Keywords):.*\n(?:[ \t].*\n)*", b"", head + b"\n", flags=re.MULTILINE | re.IGNORECASE
    )
    status = "RO" if "\\Seen" in message.flags else "O"
    more = [
        letter
        for flag, letter in (("\\Answered", "A"), ("\\Flagged", "F"), ("\\Draft", "T"), ("\\Deleted", "D"))
        if flag in message.flags
    ]
    fields = f"Status: {status}\n" + (f"X-Status: {''.join(more)}\n" if more else "")
    if message.keywords:
        fields += f"X-Keywords: {' '.join(message.keywords)}\n"
    text = FROM.sub(rb">\1", head + fields.encode() + b"\n" + body)
    return b"From " + words + b" " + begin + b"\n" + text + (b"" if text.endswith(b"\n") else b"\n") + b"\n"


FORMATS: dict[str, Callable[[Tar], Format]] = {"maildir": Maildir, "mbox": Mbox}


def export(address: str, form: str, out: BinaryIO) -> None:
    """Writes the tar; what it cannot have is said on standard error."""
    user = user_of(address)
    names = folder_names(user)
    count = 0
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as opened:
        tar = Tar(opened, address)
        target = FORMATS[form](tar)
        with Mailbox(user) as mailbox:
            for name in names:
                if mailbox.opens(name):
                    count += target.add(name, mailbox.messages())
        target.end(folder_names(user, "-s"))
        scripts(user, tar)
    say(f"{address}: {count} messages in {len(names)} folders")


def folder_names(user: str, *options: str) -> list[str]:
    listed = json.loads(run("doveadm", "-f", "json", "mailbox", "list", "-u", user, *options) or "[]")
    return sorted((entry["mailbox"] for entry in listed), key=lambda name: (name != "INBOX", name))


class Mailbox:
    """A mailbox as its account sees it."""

    def __init__(self, user: str):
        self.user = user

    def __enter__(self) -> "Mailbox":
        # It gives up root for the account, as a login does.
        try:
            # It reports the end of each session where errors go.
            self.client = imaplib.IMAP4_stream(f"exec {PROGRAM} -u {shlex.quote(self.user)} 2>/dev/null")
        except imaplib.IMAP4.error as error:
            raise Failure(f"Dovecot does not open the mailbox of {self.user}: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.client.shutdown()

    def opens(self, name: str) -> bool:
        """Opens a folder; False for what is only above others, or was deleted meanwhile."""
        quoted = folders.to_utf7(name).replace("\\", "\\\\").replace('"', '\\"')
        answer, words = self.client.select(f'"{quoted}"', readonly=True)
        if answer != "OK" and b"[NONEXISTENT]" not in (words[0] or b""):
            raise Failure(f"the folder {name} cannot be opened: {words}")
        return answer == "OK"

    def messages(self) -> Iterator[Message]:
        """Of the folder that is open."""
        listed = self.client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE)")[1]
        for line in (part for part in listed if isinstance(part, bytes)):
            # A message without flags has an empty list of them.
            found = {
                key: value
                for match in ATTRIBUTES.finditer(line)
                for key, value in match.groupdict().items()
                if value is not None
            }
            if "uid" not in found:
                continue
            flags = tuple(flag for flag in found["flags"].decode().split() if flag != "\\Recent")
            date = imaplib.Internaldate2tuple(found["date"])
            _answer, parts = self.client.uid("FETCH", found["uid"].decode(), "(BODY.PEEK[])")
            texts = [part[1] for part in parts if isinstance(part, tuple)]
            # One that was deleted meanwhile has none.
            if texts and date:
                yield Message(int(found["uid"]), flags, int(time.mktime(date)), texts[0].replace(b"\r\n", b"\n"))


def scripts(user: str, tar: Tar) -> None:
    for line in run("doveadm", "sieve", "list", "-u", user).splitlines():
        name, _, state = line.rpartition(" ") if line.endswith(" ACTIVE") else (line, "", "")
        name = name.strip()
        if not name:
            continue
        # Its ordinary form has a title before the script.
        [[text]] = (one.values() for one in json.loads(run("doveadm", "-f", "json", "sieve", "get", "-u", user, name)))
        file = f"sieve/{name.replace('/', '_')}.sieve"
        tar.text(file, text.encode())
        if state:
            tar.link(".dovecot.sieve", file)


def say(words: str) -> None:
    print(words, file=sys.stderr)
