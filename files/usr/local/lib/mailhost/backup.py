"""Backups of the volume, and what is told of them."""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Iterator
from typing import Any

from mailhost import folders
from mailhost.documents import parsed, plain
from mailhost.failure import ERRORS, Failure
from mailhost.files import put_private
from mailhost.notices import notify_postmaster
from mailhost.restic import find_or_make, latest, restic, settings
from mailhost.specs import SPECS
from mailhost.system import run

ROOT = pathlib.Path("/srv/mailhost")
#: What restic reads: the volume as of one moment. Also the path inside the snapshots.
COPY = ROOT / ".backup"
BAYES = "bayes/bayes"
#: Each is copied as of one moment.
DATABASES = ("submission/sent.sqlite", "figures/figures.sqlite")

(TIMER,) = SPECS["backup"].timers
#: Names the snapshot that an empty volume is to be filled from.
RESTORE = pathlib.Path("/etc/mailhost/restore")
#: Says that this has begun, and not ended.
MARK = ROOT / ".restoring"
STATE = pathlib.Path("/var/lib/mailhost/backup.json")

#: Without a good one for so long, the check warns.
PATIENCE = datetime.timedelta(days=2)


@dataclasses.dataclass(frozen=True)
class Made:
    """What restic says of a snapshot that it has made. Octets."""

    snapshot_id: str
    total_files_processed: int
    total_bytes_processed: int
    data_added: int


@dataclasses.dataclass(frozen=True)
class State:
    """How the backups of this host go."""

    #: Why the last one failed.
    problem: str | None = None
    #: When the last one succeeded, and in which month what is stored was read again.
    last: str | None = None
    checked: str | None = None
    #: The day on which the postmaster was told of a failure last.
    told: str | None = None


def open_repository() -> None:
    """Makes it where there is none. A host works without: what is wrong is told by the check."""
    try:
        find_or_make(timeout=60)
        newest = latest()
        note(problem=None, last=newest and newest.time)
    except Failure as failure:
        note(problem=str(failure))


@contextlib.contextmanager
def failures_told() -> Iterator[None]:
    try:
        yield
    except ERRORS as failure:
        tell(failure)
        raise


@contextlib.contextmanager
def alone() -> Iterator[None]:
    with open("/run/mailhost-backup.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure("a backup or restore is under way: try again after it") from None
        yield


def make_snapshot() -> str:
    known = settings()
    find_or_make()
    try:
        collect()
        # What was linked has changed in nothing but the number of its names.
        _, output = restic("backup", "--json", "--ignore-ctime", str(COPY))
    finally:
        shutil.rmtree(COPY, ignore_errors=True)
    made = parsed(Made, output.splitlines()[-1], "restic backup")
    kept = [
        part for span in ("daily", "weekly", "monthly") for part in (f"--keep-{span}", known[f"KEEP_{span.upper()}"])
    ]
    restic("forget", "--retry-lock", "10m", *kept, "--prune")
    now = datetime.datetime.now().astimezone()
    month = now.strftime("%Y-%m")
    if state().checked != month:
        # All that is stored is read again once a year.
        restic("check", f"--read-data-subset={now.month}/12")
    note(problem=None, last=now.isoformat(), checked=month)
    return (
        f"snapshot {made.snapshot_id[:8]}: {made.total_bytes_processed / 1e6:.1f} MB in "
        f"{made.total_files_processed} files, {made.data_added / 1e6:.1f} MB new"
    )


def collect() -> None:
    """
    Puts all that is to be saved into a tree of its own, at once: messages, which never change, by hard links.

    restic alone would miss a message that moves while it reads: from new to cur, or from one folder to another.
    """
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(mode=0o700)
    linked: dict[int, str] = {}
    # A message that moved during one pass is found in its new place by the next.
    for _ in range(10):
        if not gather(linked):
            break
    for name in ("acme", "bayes", "figures", "submission"):
        mirror(ROOT / name)
    for file in [ROOT / "srs.conf", *ROOT.glob("*.json"), *(ROOT / "acme").rglob("*")]:
        duplicate(file)
    for name in DATABASES:
        save_database(name)
    if (ROOT / f"{BAYES}_toks").exists():
        learned = run("runuser", "--user", "amavis", "--", "sa-learn", "--dbpath", str(ROOT / BAYES), "--backup")
        (COPY / f"{BAYES}.txt").write_text(learned)


def save_database(name: str) -> None:
    if not (ROOT / name).exists():
        return
    try:
        with (
            contextlib.closing(sqlite3.connect(ROOT / name)) as source,
            contextlib.closing(sqlite3.connect(COPY / name)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise Failure(f"{name}: {error}") from error
    keep_owner(ROOT / name, COPY / name)


def gather(linked: dict[int, str]) -> bool:
    """Whether there was a message that was not linked before; `linked` has the place of each by its inode."""
    news = False
    for top in ("mail", "home", "quarantine", "queue/queue"):
        for folder, subfolders, _ in os.walk(ROOT / top):
            if folders.is_kept(folder, "tmp"):
                subfolders.clear()
                continue
            mirror(pathlib.Path(folder))
            is_fixed = folders.is_kept(folder, "cur", "new") or not top.endswith(("mail", "home"))
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        continue
                    if not is_fixed:
                        duplicate(pathlib.Path(entry.path))
                    elif linked.get(entry.inode()) != entry.path:
                        news |= entry.inode() not in linked
                        link(entry, linked)
    return news


def link(entry: os.DirEntry[str], linked: dict[int, str]) -> None:
    try:
        os.link(entry.path, in_copy(entry.path))
    except FileNotFoundError:
        return
    except FileExistsError:
        os.unlink(in_copy(entry.path))
        os.link(entry.path, in_copy(entry.path))
    before = linked.get(entry.inode())
    if before is not None:
        os.unlink(in_copy(before))
    linked[entry.inode()] = entry.path


def in_copy(path: str | pathlib.Path) -> pathlib.Path:
    return COPY / pathlib.Path(path).relative_to(ROOT)


def mirror(folder: pathlib.Path) -> None:
    target = in_copy(folder)
    with contextlib.suppress(FileNotFoundError):
        if not target.exists():
            target.mkdir(parents=True)
        keep_owner(folder, target)


def duplicate(file: pathlib.Path) -> None:
    """Of what is written over in place; Dovecot makes its index files again by itself."""
    if file.is_dir() or file.name.startswith("dovecot.index"):
        return
    with contextlib.suppress(FileNotFoundError):
        in_copy(file).parent.mkdir(parents=True, exist_ok=True)
        # Of the pass before: a link, such as to the Sieve script in use, is not written over.
        in_copy(file).unlink(missing_ok=True)
        shutil.copy2(file, in_copy(file), follow_symlinks=False)
        keep_owner(file, in_copy(file))


def keep_owner(source: str | pathlib.Path, target: str | pathlib.Path) -> None:
    about = os.lstat(source)
    os.lchown(target, about.st_uid, about.st_gid)
    if not os.path.islink(target):
        os.chmod(target, about.st_mode & 0o7777)


def state() -> State:
    return parsed(State, STATE.read_text(), str(STATE)) if STATE.exists() else State()


def note(**changes: Any) -> None:
    put_private(STATE, json.dumps(dataclasses.replace(state(), **changes), default=plain))


def tell(failure: Exception) -> None:
    """The postmaster, at most once a day."""
    # It may be the disk that is full.
    with contextlib.suppress(OSError):
        note(problem=str(failure))
    if has_told():
        return
    # Where this fails, mailhost-failures.timer mails that the unit failed.
    with contextlib.suppress(Failure, OSError):
        notify_postmaster("the backup of this host failed", f"{failure}\n\nOnce more: mailhost backup\n")
        note(told=today())


def has_told() -> bool:
    return state().told == today()


def today() -> str:
    return datetime.date.today().isoformat()


def warnings() -> Iterator[str]:
    known = state()
    if known.problem:
        words = " ".join(known.problem.split())
        yield f"mail is not backed up: {words}"
    else:
        # Of a host without one, from when it was to have them.
        last = known.last
        since = (
            datetime.datetime.fromisoformat(last) if last else datetime.datetime.fromtimestamp(STATE.stat().st_mtime)
        )
        if datetime.datetime.now().astimezone() - since.astimezone() > PATIENCE:
            yield f"the last backup is of {since:%Y-%m-%d %H:%M}: journalctl --unit mailhost-backup"
