"""Brings back what a backup has; what is on the host is never written over."""

import contextlib
import email.parser
import hashlib
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence

from mailhost import folders, pauses
from mailhost.backup import BAYES, COPY, MARK, RESTORE, ROOT, keep_owner
from mailhost.daemons import DAEMONS, host_alone, wanted
from mailhost.daemons import accounts as system_users
from mailhost.daemons.opensmtpd import OpenSmtpd
from mailhost.failure import Failure
from mailhost.restic import restic
from mailhost.specs import PROBE
from mailhost.system import is_active, run, succeeds

MAIL = ROOT / "mail"
HOMES = ROOT / "home"
#: On the volume, so that files can be moved.
SCRATCH = ROOT / ".restore"


def restore_volume(snapshot: str) -> None:
    """Fills an empty volume, before any daemon runs."""
    if not MARK.exists() and has_mail():
        print("WARNING: nothing was restored, because there is mail on the volume: take the setting restore out")
        return
    MARK.touch()
    # What waited in the queue then may have been delivered since.
    restic("restore", f"{snapshot}:{COPY}", "--target", str(ROOT), "--exclude", "/queue")
    complete_maildirs()
    learned = ROOT / f"{BAYES}.txt"
    if learned.exists():
        shutil.chown(learned, "amavis", "amavis")
        run("runuser", "--user", "amavis", "--", "sa-learn", "--dbpath", str(ROOT / BAYES), "--restore", str(learned))
        learned.unlink()
    os.sync()
    MARK.unlink()
    print(f"restored: {sum(1 for _ in messages_below(MAIL, HOMES))} messages")


def complete_maildirs() -> None:
    """Makes the `tmp` of every Maildir, which backups leave out: Dovecot 2.4.1 does not find a folder without it."""
    for top in (MAIL, HOMES):
        for folder, _, _ in os.walk(top):
            tmp = pathlib.Path(folder).with_name("tmp")
            if folders.is_kept(folder, "cur") and not tmp.is_dir():
                tmp.mkdir(mode=0o700)
                keep_owner(folder, tmp)


def check_ended() -> None:
    """A backup of a volume that was not filled yet would be the one that it is filled from next."""
    if MARK.exists() or (RESTORE.exists() and not has_mail()):
        raise Failure(
            "the volume is to be filled from a backup first, by `pulumi up`. If it shall stay as it is, take the setting "
            "restore out"
        )


def has_mail() -> bool:
    return any(PROBE.user not in str(message) for message in messages_below(MAIL, HOMES))


def messages_below(*tops: pathlib.Path) -> Iterator[pathlib.Path]:
    for top in tops:
        for folder, _, files in os.walk(top):
            if folders.is_kept(folder, "cur", "new"):
                yield from (pathlib.Path(folder, file) for file in files)


def restore_all(snapshot: str) -> None:
    """Of each account; raises Failure at the end where there was one that could not be restored."""
    failures = []
    for address in accounts():
        try:
            restore_account(address, snapshot)
        except Failure as failure:
            # In restic's words: an account that had no mailbox yet.
            if re.search(r"^path \S+: not found$", str(failure), re.MULTILINE):
                print(f"{address}: was not in that backup")
            else:
                failures.append(f"{address}: {failure}")
    if failures:
        raise Failure("\n".join(failures))


def restore_account(address: str, snapshot: str, folder: str | None = None, message_id: str | None = None) -> None:
    """Puts what the account had and has not now into folders below Restored."""
    user = user_of(address)
    home = accounts()[user]
    with scratch():
        restic("restore", f"{snapshot}:{COPY / home.relative_to(ROOT)}", "--target", str(SCRATCH))
        wanted_ones = [
            message
            for message in sorted(messages_below(SCRATCH / "mail"), key=arrival)
            if (folder is None or folder_of(message) == folders.stored(folder))
            and (message_id is None or id_of(message) == message_id.strip("<>"))
        ]
        if not wanted_ones and (folder or message_id):
            raise Failure(f"the snapshot has no such message of {address}: mailhost snapshots lists the others")
        sizes = {message.stat().st_size for message in wanted_ones}
        # By their octets: folder and flags may be others.
        present = {digest(message) for message in messages_below(home / "mail") if message.stat().st_size in sizes}
        missing = [message for message in wanted_ones if digest(message) not in present]
        for message in missing:
            put_back(message, home)
        if folder is None and message_id is None:
            put_back_scripts(home)
    if missing:
        for name in restored_folders(home):
            succeeds("doveadm", "mailbox", "subscribe", "-u", user, name)
    print(f"{address}: {len(missing)} messages, in Restored" if missing else f"{address}: nothing is missing")


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(SCRATCH)


def user_of(address: str) -> str:
    """A system user's name is the local part."""
    user = next((name for name in (address, address.split("@")[0]) if name in accounts()), None)
    if user is None:
        raise Failure(f"{address} is no account: add it to the settings first")
    return user


def accounts() -> dict[str, pathlib.Path]:
    """The folder of each by its user name."""
    if DAEMONS["accounts"] in wanted():
        return {name: HOMES / name for name in system_users.NAMES.read_text().split()}
    names = [line.split(":")[0] for line in pathlib.Path("/etc/dovecot/users").read_text().splitlines()]
    return {name: MAIL.joinpath(*reversed(name.split("@"))) for name in names if PROBE.user not in name}


def folder_of(message: pathlib.Path) -> folders.Parts:
    """The parts of the name of the folder that a message of the backup lay in."""
    return folders.parts_of(message.parent.parent.relative_to(SCRATCH / "mail"))


def put_back(message: pathlib.Path, home: pathlib.Path) -> None:
    origin = folder_of(message)
    folder = home / "mail" / folders.path_of(("Restored", *(() if origin == folders.INBOX else origin)))
    for part in ("cur", "new", "tmp"):
        folders.make(folder / part, home / "mail")
    # By a new name: that of a message which was deleted there before Dovecot does not show for a while.
    now = time.time_ns()
    rest = re.sub("^[^,:]*", "", message.name)
    message.rename(folder / message.parent.name / f"{now // 10**9}.R{now}.{os.uname().nodename}{rest}")


def arrival(message: pathlib.Path) -> list[int]:
    """When a message came, by its name: seconds, microseconds without leading zeros, process (maildir(5))."""
    return [int(number) for number in re.findall(r"\d+", message.name)]


def restored_folders(home: pathlib.Path) -> list[str]:
    mail = home / "mail"
    found = (mail / folders.TOP / "Restored").rglob(folders.MESSAGES)
    return sorted(folders.shown(folders.parts_of(path.relative_to(mail))) for path in found)


def digest(message: pathlib.Path) -> bytes:
    with message.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def id_of(message: pathlib.Path) -> str:
    with message.open("rb") as file:
        header = email.parser.BytesHeaderParser().parse(file)
    return str(header["Message-ID"] or "").strip().strip("<>")


def put_back_scripts(home: pathlib.Path) -> None:
    """Sieve scripts, and which of them is active."""
    for source in [*(SCRATCH / "sieve").rglob("*"), SCRATCH / ".dovecot.sieve"]:
        target = home / source.relative_to(SCRATCH)
        if os.path.lexists(source) and not source.is_dir() and not os.path.lexists(target):
            target.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(target.parent, os.stat(home).st_uid, os.stat(home).st_gid)
            source.rename(target)


def restore_queue(identifiers: Sequence[str], snapshot: str) -> None:
    """
    Shows what waited in the queue, and puts the messages that are named into it again.

    None by itself: what has been delivered since would be sent once more.
    """
    with scratch():
        restic("restore", f"{snapshot}:{COPY}/queue/queue", "--target", str(SCRATCH))
        waiting = {path.name: path for path in sorted(SCRATCH.glob("??/????????"))}
        if not identifiers:
            for name, path in waiting.items():
                print(f"{name}  {described(path)}")
            return
        unknown = [name for name in identifiers if name not in waiting]
        if unknown:
            raise Failure(f"the queue had no message {', '.join(unknown)} then: mailhost restore queue lists them")
        with host_alone(), opensmtpd_stopped():
            for name in identifiers:
                target = ROOT / "queue/queue" / waiting[name].relative_to(SCRATCH)
                if target.exists():
                    print(f"{name}: is in the queue")
                    continue
                target.parent.mkdir(mode=0o700, exist_ok=True)
                shutil.chown(target.parent, "opensmtpq", "root")
                waiting[name].rename(target)
                print(f"{name}: put into the queue")


@contextlib.contextmanager
def opensmtpd_stopped() -> Iterator[None]:
    """It reads the queue when it starts."""
    was_active = is_active(pauses.UNIT)
    if was_active:
        run("systemctl", "stop", pauses.UNIT)
    try:
        yield
    finally:
        if was_active:
            OpenSmtpd().restart_service()


def described(message: pathlib.Path) -> str:
    envelopes = [path.read_text(errors="replace") for path in message.glob(f"{message.name}????????")]

    def field(name: str) -> str:
        return ", ".join(sorted({value for text in envelopes for value in re.findall(rf"^{name}: (.*)$", text, re.M)}))

    with (message / "message").open("rb") as file:
        subject = email.parser.BytesHeaderParser().parse(file)["Subject"]
    return f"from <{field('sender')}> to {field('dest')}: {subject}"
