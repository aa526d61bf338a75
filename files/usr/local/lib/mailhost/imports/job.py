"""Copies the mailboxes of a table, several at a time, and reports in lines of JSON."""

import dataclasses
import fcntl
import imaplib
import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any, BinaryIO

from mailhost.documents import plain
from mailhost.failure import Failure
from mailhost.imports import lately
from mailhost.imports.archive import Archive
from mailhost.imports.copying import Copy, Counts, Progress
from mailhost.imports.imap import ImapSource, Login, Refused
from mailhost.imports.local import LocalSource
from mailhost.imports.mailbox import Full, Mailbox
from mailhost.imports.memory import Memory
from mailhost.imports.messages import Source
from mailhost.imports.report import Comparison, compare

LOCK = "/run/mailhost-import.lock"
#: Of one account, where the connection is lost.
ATTEMPTS = 3
#: Seconds between them.
PAUSE = 5
#: Seconds without news after which a line is written: so a host whose operator is gone learns of it.
HEARTBEAT = 5


@dataclasses.dataclass(frozen=True)
class Item:
    """One mailbox to copy."""

    #: Its address here.
    account: str
    host: str
    port: int
    user: str
    secret: str = dataclasses.field(repr=False)
    #: What the secret is: password, or token.
    kind: str
    #: Folders here by the names there; an empty name leaves one out.
    folders: dict[str, str]
    master: str | None = None
    fingerprint: str | None = None

    @property
    def login(self) -> Login:
        return Login(self.host, self.port, self.user, self.secret, self.kind, self.master, self.fingerprint)


@dataclasses.dataclass(frozen=True)
class Job:
    """Standard input of `mailhost import`."""

    accounts: tuple[Item, ...]
    #: How many are copied at a time.
    parallel: int


@dataclasses.dataclass(frozen=True)
class OfFiles:
    """A mailbox in an archive."""

    #: Its address here.
    account: str
    #: As the archive has it.
    user: str
    folders: dict[str, str]


@dataclasses.dataclass(frozen=True)
class FilesJob:
    """The first line of standard input of `mailhost import-files`; the archive follows."""

    accounts: tuple[OfFiles, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    """Of one account, at its end."""

    account: str
    copied: int = 0
    moved: int = 0
    flagged: int = 0
    refused: tuple[str, ...] = ()
    #: None where it was not copied to the end.
    comparison: Comparison | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Line:
    """What is written to standard output, one a line."""

    account: str | None = None
    #: Octets of mail that were read from an archive.
    received: int | None = None
    progress: Progress | None = None
    result: Result | None = None


@contextmanager
def alone() -> Iterator[None]:
    with open(LOCK, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure("another import runs on this host: wait for its end") from error
        yield


def run(job: Job, write: Callable[[str], Any]) -> None:
    """Raises nothing for an account that cannot be copied: its result says why."""
    with alone():
        # What comes together in one account is copied one by one.
        own: dict[str, list[Item]] = {}
        for item in job.accounts:
            own.setdefault(item.account, []).append(item)
        items: queue.SimpleQueue[list[Item]] = queue.SimpleQueue()
        for group in own.values():
            items.put(group)
        lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        # They end with this program, at whatever point: what they have copied and noted is whole.
        for _ in range(min(job.parallel, len(own))):
            threading.Thread(target=work, args=(items, lines), daemon=True).start()
        left = len(job.accounts)
        while left:
            try:
                line = lines.get(timeout=HEARTBEAT)
            except queue.Empty:
                line = Line()
            if line.result:
                left -= 1
                lately.note(line.result.account, line.result.copied, is_whole(line.result))
            write(json.dumps(line, default=plain))


def run_files(job: FilesJob, stream: BinaryIO, write: Callable[[str], Any]) -> None:
    """Raises Failure where the archive cannot be read to its end; nothing was copied then."""

    def tell(line: Line) -> None:
        write(json.dumps(line, default=plain))

    with alone(), closing(Archive(stream, lambda octets: tell(Line(received=octets)))) as archive:
        for item in job.accounts:
            result = from_archive(archive, item, tell)
            lately.note_files(result.account, is_whole(result))
            tell(Line(item.account, result=result))


def from_archive(archive: Archive, item: OfFiles, tell: Callable[[Line], None]) -> Result:
    counts = Counts()
    try:
        source = LocalSource(archive, item.user)
        comparison = once(
            item.account, lambda: nullcontext(source), f"files of {item.user}", item.folders, counts, tell
        )
        counts.refused += source.unreadable
    except (Failure, OSError, ValueError) as failure:
        return result_of(item, counts, error=str(failure))
    return result_of(item, counts, comparison)


def is_whole(result: Result) -> bool:
    return result.comparison is not None and not result.refused


def work(groups: "queue.SimpleQueue[list[Item]]", lines: "queue.SimpleQueue[Line]") -> None:
    while True:
        try:
            group = groups.get_nowait()
        except queue.Empty:
            return
        for item in group:
            try:
                result = copy_account(item, lines.put)
            except Exception as error:
                result = Result(item.account, error=f"{type(error).__name__}: {error}")
            lines.put(Line(item.account, result=result))


def copy_account(item: Item, tell: Callable[[Line], None]) -> Result:
    def opened() -> AbstractContextManager[Source]:
        return closing(ImapSource(item.login))

    total = Counts()
    for attempt in range(1, ATTEMPTS + 1):
        counts = Counts()
        try:
            comparison = once(item.account, opened, item.login.place, item.folders, counts, tell)
            error = None
        except (Refused, Full) as failure:
            return result_of(item, added(total, counts), error=str(failure))
        except (Failure, OSError, imaplib.IMAP4.error) as failure:
            comparison, error = None, reason(item, failure)
        total = added(total, counts)
        if error is None:
            return result_of(item, total, comparison)
        if attempt < ATTEMPTS:
            time.sleep(PAUSE)
    return result_of(item, total, error=f"{error}. What was copied stays: import it again")


def once(
    account: str,
    opened: Callable[[], AbstractContextManager[Source]],
    place: str,
    folders: dict[str, str],
    counts: Counts,
    tell: Callable[[Line], None],
) -> Comparison:
    def progressed(progress: Progress) -> None:
        tell(Line(account, progress=dataclasses.replace(progress)))

    with closing(Mailbox(account)) as here, opened() as there, closing(Memory(account, place)) as memory:
        copy = Copy(there, here, memory, folders)
        copy.counts = counts
        copy.compare_lists()
        copy.plan()
        progressed(copy.progress)
        copy.check_room()
        copy.run(progressed)
        return compare(copy)


def reason(item: Item, failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return f"{item.host} did not answer in time"
    if isinstance(failure, (imaplib.IMAP4.abort, ConnectionError, ssl.SSLError)):
        return f"the connection to {item.host} was lost: {failure}"
    return str(failure)


def added(total: Counts, counts: Counts) -> Counts:
    return Counts(
        total.copied + counts.copied,
        total.moved + counts.moved,
        total.flagged + counts.flagged,
        counts.refused,
    )


def result_of(
    item: Item | OfFiles, counts: Counts, comparison: Comparison | None = None, error: str | None = None
) -> Result:
    return Result(item.account, counts.copied, counts.moved, counts.flagged, tuple(counts.refused), comparison, error)
