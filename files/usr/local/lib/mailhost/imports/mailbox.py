"""A mailbox of this host, through Dovecot's own IMAP: quota, indexes and names are as for a mail client."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import IO

from mailhost.failure import Failure
from mailhost.folders import from_utf7, to_utf7
from mailhost.imports import wire
from mailhost.imports.messages import NAMING, Entry, Listing, Message, uid_set, uids_in

PROGRAM = "/usr/lib/dovecot/imap"
#: Without the plugin that has SpamAssassin learn what is put into Junk: old spam in bulk is no user's word. What is
#: written is synced before it is noted as copied, and not after each message.
OPTIONS = ("mail_plugins=quota imap_quota", "mail_fsync=never", "log_path=/dev/null")


class Full(Failure):
    """The quota of the account."""


class Mailbox:
    """An open session. Each method raises Failure with Dovecot's words where it refuses."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.opened: str | None = None
        self.tags = 0
        words = [word for option in OPTIONS for word in ("-o", option)]
        self.process = subprocess.Popen(
            [PROGRAM, "-u", account, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A signal to the program is its to handle; this one ends with its input.
            start_new_session=True,
        )
        if self.process.stdin is None or self.process.stdout is None or self.process.stderr is None:
            raise Failure(f"{PROGRAM} has no pipes")
        self.input: IO[bytes] = self.process.stdin
        self.output: IO[bytes] = self.process.stdout
        if not self.output.readline().startswith(b"* PREAUTH"):
            words_ = self.process.stderr.read().decode("utf-8", "replace").strip()
            self.close()
            raise Failure(f"{account} is not an account of this host{f': {words_}' if words_ else ''}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def command(self, *parts: str | bytes) -> tuple[str, list[wire.Part]]:
        """Gives the words of its success, and the answers before it."""
        self.tags += 1
        tag = f"a{self.tags} "
        try:
            self.input.write(tag.encode())
            for part in parts:
                self.input.write(part.encode("ascii") if isinstance(part, str) else part)
            self.input.write(b"\r\n")
            self.input.flush()
            return self.answer(tag.encode())
        except BrokenPipeError as error:
            raise Failure(f"Dovecot ended the session of {self.account}") from error

    def answer(self, tag: bytes) -> tuple[str, list[wire.Part]]:
        found: list[wire.Part] = []
        while True:
            line = self.output.readline()
            if not line:
                raise Failure(f"Dovecot ended the session of {self.account}: {self.last_words()}")
            if line.startswith(tag):
                status, _, rest = line[len(tag) :].decode("utf-8", "replace").strip().partition(" ")
                if status == "OK":
                    return rest, found
                raise (Full if "[OVERQUOTA]" in rest else Failure)(rest)
            line = line.removeprefix(b"* ").rstrip(b"\r\n")
            while literal := re.search(rb"\{(\d+)\}$", line):
                found.append((line, self.output.read(int(literal[1]))))
                line = self.output.readline().rstrip(b"\r\n")
            found.append(line)

    def last_words(self) -> str:
        return self.process.stderr.read().decode("utf-8", "replace").strip() if self.process.stderr else ""

    def folders(self) -> dict[str, str | None]:
        """Names, and the use of each that has one."""
        _, data = self.command('LIST "" "*" RETURN (SPECIAL-USE)')
        found: dict[str, str | None] = {}
        for part in data:
            listed = wire.listed(part[5:] if isinstance(part, bytes) else (part[0][5:], part[1]))
            if listed and not {flag.lower() for flag in listed[0]} & {"\\noselect", "\\nonexistent"}:
                uses = [flag.title() for flag in listed[0] if flag.title() in USES]
                found[from_utf7(listed[2])] = uses[0] if uses else None
        return found

    def create(self, name: str) -> None:
        """Where it is there already, it stays as it is."""
        try:
            self.command("CREATE ", wire.quoted(to_utf7(name)))
        except Failure as failure:
            if "[ALREADYEXISTS]" not in str(failure):
                raise

    def subscribe(self, name: str) -> None:
        self.command("SUBSCRIBE ", wire.quoted(to_utf7(name)))

    def open(self, name: str) -> tuple[int, int]:
        """Gives how many messages it has, and for how long their numbers are good."""
        _, data = self.command("SELECT ", wire.quoted(to_utf7(name)))
        self.opened = name
        text = b"\n".join(part for part in data if isinstance(part, bytes)).decode("ascii", "replace")
        count, validity = re.search(r"^(\d+) EXISTS", text, re.MULTILINE), re.search(r"UIDVALIDITY (\d+)", text)
        return int(count[1]) if count else 0, int(validity[1]) if validity else 0

    def listing(self, name: str) -> Listing:
        count, validity = self.open(name)
        found: dict[int, Entry] = {}
        if count:
            fields = f"(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({' '.join(NAMING)})])"
            _, data = self.command("FETCH 1:* ", fields)
            found = dict(filter(None, (wire.entry_in(*answer) for answer in wire.answers(data))))
        return Listing(validity, found)

    def append(self, name: str, messages: Sequence[Message]) -> tuple[int, list[int]]:
        """
        All or none; gives their numbers, and for how long these are good.

        Raises Full where the quota would not hold them.
        """
        parts: list[str | bytes] = ["APPEND ", wire.quoted(to_utf7(name))]
        for message in messages:
            date = f' "{message.date}"' if message.date else ""
            parts.append(f" ({' '.join(sorted(message.flags))}){date} {{{len(message.text)}+}}\r\n")
            parts.append(message.text)
        words, _ = self.command(*parts)
        return uids_of(words, "APPENDUID")

    def move(self, uid: int, name: str) -> tuple[int, int] | None:
        """From the open folder; gives the new number, or None where the message is not there."""
        words, data = self.command(f"UID MOVE {uid} ", wire.quoted(to_utf7(name)))
        text = b"\n".join(part for part in data if isinstance(part, bytes)).decode("ascii", "replace")
        found = re.search(r"\[COPYUID (\d+) \S+ (\d+)\]", f"{words}\n{text}")
        return (int(found[1]), int(found[2])) if found else None

    def change_flags(self, changes: Mapping[str, Iterable[int]]) -> None:
        """In the open folder: of each change, e.g. `+FLAGS (\\Seen)`, the messages."""
        for change, uids in changes.items():
            self.command(f"UID STORE {uid_set(uids)} ", change)

    def quota(self) -> tuple[int, int] | None:
        """Octets in use and at most; None where there is no limit."""
        _, data = self.command("GETQUOTAROOT INBOX")
        text = b"\n".join(part for part in data if isinstance(part, bytes)).decode("utf-8", "replace")
        found = re.search(r"^QUOTA .*\bSTORAGE (\d+) (\d+)", text, re.MULTILINE)
        return (int(found[1]) << 10, int(found[2]) << 10) if found else None


USES = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}


def uids_of(words: str, code: str) -> tuple[int, list[int]]:
    found = re.search(rf"\[{code} (\d+) ([\d,:]+)\]", words)
    if found is None:
        raise Failure(f"Dovecot gave no {code}: {words}")
    return int(found[1]), uids_in(found[2])
