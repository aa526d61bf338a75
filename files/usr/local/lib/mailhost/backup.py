"""Backups of the volume with restic, and what is told of them."""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess

from mailhost import folders
from mailhost.failure import ERRORS, Failure
from mailhost.files import put_private
from mailhost.notices import notify_postmaster
from mailhost.system import run

ROOT = pathlib.Path("/srv/mailhost")
#: What restic reads: the volume as of one moment. Also the path inside the snapshots.
COPY = ROOT / ".backup"
BAYES = "bayes/bayes"
SENT = "submission/sent.sqlite"

SETTINGS = ("/etc/mailhost/restic.env", "/etc/mailhost/restic-secrets.env")
SSH_KEY = pathlib.Path("/etc/mailhost/restic.key")
SSH = (
    f"-i {SSH_KEY} -o UserKnownHostsFile=/etc/mailhost/restic.known_hosts -o StrictHostKeyChecking=yes "
    "-o BatchMode=yes -o ConnectTimeout=15"
)
TIMER = "mailhost-backup.timer"
#: Names the snapshot that an empty volume is to be filled from.
RESTORE = pathlib.Path("/etc/mailhost/restore")
#: Says that this has begun, and not ended.
MARK = ROOT / ".restoring"
STATE = pathlib.Path("/var/lib/mailhost/backup.json")

#: restic's exit status.
NO_REPOSITORY = 10
#: Without a good one for so long, the check warns.
PATIENCE = datetime.timedelta(days=2)


def settings() -> dict:
    lines = [line for path in SETTINGS for line in pathlib.Path(path).read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line)


def restic(*arguments: str, expected: tuple = (0,), timeout: float | None = None) -> tuple:
    """Gives exit status and output; raises Failure, in restic's words, for a status that is not expected."""
    known = settings()
    over_ssh = ("--option", f"sftp.args={SSH}") if known["RESTIC_REPOSITORY"].startswith("sftp:") else ()
    try:
        result = subprocess.run(
            # It does not outlive this, to read or write what the next command works with.
            ("setpriv", "--pdeathsig", "KILL", "restic", *over_ssh, "--quiet", *arguments),
            env={"PATH": os.environ["PATH"], "HOME": "/root", **known},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        # restic tries again for long what cannot pass, too, such as a wrong key of S3. (Bytes, whatever was asked for.)
        words = (error.stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
        silence = f"{known['RESTIC_REPOSITORY']} does not answer within {timeout:.0f} s"
        raise Failure(f"{silence}: {words}" if words else silence) from None
    if result.returncode not in expected:
        words = "\n".join(line for line in (result.stdout + result.stderr).splitlines() if line.strip())
        if over_ssh and "sftp session" in words:
            words = why_no_session(known["RESTIC_REPOSITORY"]) or words
        raise Failure(f"restic {arguments[0]} failed:\n{words}")
    return result.returncode, result.stdout


def why_no_session(repository: str) -> str:
    """restic often ends before ssh has said it."""
    url, host = re.match("sftp:(?:(//[^/]+)/|([^:]+):)", repository).groups()
    words = subprocess.run(
        ("ssh", *SSH.split(), f"ssh:{url}" if url else host, "-s", "sftp"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    ).stderr.strip()
    if "Permission denied" in words:
        words += f"\nThe server has to let this key in: {run('ssh-keygen', '-y', '-f', str(SSH_KEY)).strip()}"
    return words


def open_repository() -> None:
    """Makes it where there is none. A host works without: what is wrong is told by the check."""
    try:
        find_or_make(timeout=60)
        note(problem=None, last=latest().get("time"))
    except Failure as failure:
        note(problem=str(failure))


def find_or_make(timeout: float | None = None) -> None:
    if unlock(timeout) == NO_REPOSITORY:
        restic("init")


def unlock(timeout: float | None = None) -> int:
    """Takes away the locks of processes that are no more: they would keep out all others. Gives restic's exit status."""
    return restic("unlock", expected=(0, NO_REPOSITORY), timeout=timeout)[0]


def snapshots() -> list:
    known = settings()
    return json.loads(restic("snapshots", "--json", "--no-lock", "--host", known["RESTIC_HOST"])[1])


def latest() -> dict:
    """Empty where there is none. One of the future was made while the clock was ahead, and would be the latest for long."""
    known = sorted(snapshots(), key=time_of)
    now = datetime.datetime.now().astimezone()
    past = [snapshot for snapshot in known if time_of(snapshot) <= now]
    return (past or known or [{}])[-1]


def time_of(snapshot: dict) -> datetime.datetime:
    return datetime.datetime.fromisoformat(snapshot["time"])


def show_snapshots() -> None:
    for snapshot in snapshots():
        size = snapshot.get("summary", {}).get("total_bytes_processed", 0)
        print(f"{snapshot['short_id']}  {snapshot['time'][:19].replace('T', ' ')}  {size / 1e6:.1f} MB")


@contextlib.contextmanager
def failures_told():
    try:
        yield
    except sqlite3.Error as error:
        failure = Failure(f"{SENT}: {error}")
        tell(failure)
        raise failure from error
    except ERRORS as failure:
        tell(failure)
        raise


@contextlib.contextmanager
def alone():
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
    summary = json.loads(output.splitlines()[-1])
    kept = [
        part for span in ("daily", "weekly", "monthly") for part in (f"--keep-{span}", known[f"KEEP_{span.upper()}"])
    ]
    restic("forget", "--retry-lock", "10m", *kept, "--prune")
    now = datetime.datetime.now().astimezone()
    month = now.strftime("%Y-%m")
    if state().get("checked") != month:
        # All that is stored is read again once a year.
        restic("check", f"--read-data-subset={now.month}/12")
    note(problem=None, last=now.isoformat(), checked=month)
    return (
        f"snapshot {summary['snapshot_id'][:8]}: {summary['total_bytes_processed'] / 1e6:.1f} MB in "
        f"{summary['total_files_processed']} files, {summary['data_added'] / 1e6:.1f} MB new"
    )


def collect() -> None:
    """
    Puts all that is to be saved into a tree of its own, at once: messages, which never change, by hard links.

    restic alone would miss a message that moves while it reads: from new to cur, or from one folder to another.
    """
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(mode=0o700)
    linked: dict = {}
    # A message that moved during one pass is found in its new place by the next.
    for _ in range(10):
        if not gather(linked):
            break
    for name in ("acme", "bayes", "submission"):
        mirror(ROOT / name)
    for file in [ROOT / "srs.conf", *ROOT.glob("*.json"), *(ROOT / "acme").rglob("*")]:
        duplicate(file)
    if (ROOT / SENT).exists():
        with (
            contextlib.closing(sqlite3.connect(ROOT / SENT)) as source,
            contextlib.closing(sqlite3.connect(COPY / SENT)) as target,
        ):
            source.backup(target)
        keep_owner(ROOT / SENT, COPY / SENT)
    if (ROOT / f"{BAYES}_toks").exists():
        learned = run("runuser", "--user", "amavis", "--", "sa-learn", "--dbpath", str(ROOT / BAYES), "--backup")
        (COPY / f"{BAYES}.txt").write_text(learned)


def gather(linked: dict) -> bool:
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


def link(entry: os.DirEntry, linked: dict) -> None:
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


def in_copy(path) -> pathlib.Path:
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


def keep_owner(source, target) -> None:
    about = os.lstat(source)
    os.lchown(target, about.st_uid, about.st_gid)
    if not os.path.islink(target):
        os.chmod(target, about.st_mode & 0o7777)


def state() -> dict:
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def note(**changes) -> None:
    put_private(STATE, json.dumps({**state(), **changes}))


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
    return state().get("told") == today()


def today() -> str:
    return datetime.date.today().isoformat()


def warnings():
    known = state()
    if known.get("problem"):
        words = " ".join(known["problem"].split())
        yield f"mail is not backed up: {words}"
    else:
        # Of a host without one, from when it was to have them.
        last = known.get("last")
        since = (
            datetime.datetime.fromisoformat(last) if last else datetime.datetime.fromtimestamp(STATE.stat().st_mtime)
        )
        if datetime.datetime.now().astimezone() - since.astimezone() > PATIENCE:
            yield f"the last backup is of {since:%Y-%m-%d %H:%M}: journalctl --unit mailhost-backup"
