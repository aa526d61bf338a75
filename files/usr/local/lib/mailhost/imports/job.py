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
from contextlib import closing, contextmanager
from typing import Any

from mailhost.documents import plain
from mailhost.failure import Failure
from mailhost.imports import lately
from mailhost.imports.copying import Copy, Counts, Progress
from mailhost.imports.imap import ImapSource, Login, Refused
from mailhost.imports.mailbox import Full, Mailbox
from mailhost.imports.memory import Memory
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
    total = Counts()
    for attempt in range(1, ATTEMPTS + 1):
        counts = Counts()
        try:
            comparison = once(item, counts, lambda progress: tell(Line(item.account, dataclasses.replace(progress))))
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


def once(item: Item, counts: Counts, tell: Callable[[Progress], None]) -> Comparison:
    with (
        closing(Mailbox(item.account)) as here,
        closing(ImapSource(item.login)) as there,
        closing(Memory(item.account, item.login.place)) as memory,
    ):
        copy = Copy(there, here, memory, item.folders)
        copy.counts = counts
        copy.compare_lists()
        copy.plan()
        tell(copy.progress)
        copy.check_room()
        copy.run(tell)
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


def result_of(item: Item, counts: Counts, comparison: Comparison | None = None, error: str | None = None) -> Result:
    return Result(item.account, counts.copied, counts.moved, counts.flagged, tuple(counts.refused), comparison, error)
