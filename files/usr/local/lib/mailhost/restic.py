"""The repository that restic keeps the backups in."""

import dataclasses
import datetime
import os
import pathlib
import re
import subprocess

from mailhost.documents import parsed
from mailhost.failure import Failure
from mailhost.system import run

SETTINGS = ("/etc/mailhost/restic.env", "/etc/mailhost/restic-secrets.env")
SSH_KEY = pathlib.Path("/etc/mailhost/restic.key")
SSH = (
    f"-i {SSH_KEY} -o UserKnownHostsFile=/etc/mailhost/restic.known_hosts -o StrictHostKeyChecking=yes "
    "-o BatchMode=yes -o ConnectTimeout=15"
)

#: restic's exit status.
NO_REPOSITORY = 10


@dataclasses.dataclass(frozen=True)
class Summary:
    total_bytes_processed: int


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """As restic has it."""

    id: str
    short_id: str
    time: str
    summary: Summary | None = None


def settings() -> dict[str, str]:
    if not all(pathlib.Path(path).exists() for path in SETTINGS):
        raise Failure("this host has no backups: the setting backup is not set")
    lines = [line for path in SETTINGS for line in pathlib.Path(path).read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line)


def restic(*arguments: str, expected: tuple[int, ...] = (0,), timeout: float | None = None) -> tuple[int, str]:
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
    address = re.match("sftp:(?:(//[^/]+)/|([^:]+):)", repository)
    if address is None:
        return ""
    url, host = address.groups()
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


def find_or_make(timeout: float | None = None) -> None:
    if unlock(timeout) == NO_REPOSITORY:
        restic("init")


def unlock(timeout: float | None = None) -> int:
    """Takes away the locks of processes that are no more: they would keep out all others. Gives restic's exit status."""
    return restic("unlock", expected=(0, NO_REPOSITORY), timeout=timeout)[0]


def snapshots() -> tuple[Snapshot, ...]:
    _, listed = restic("snapshots", "--json", "--no-lock", "--host", settings()["RESTIC_HOST"])
    return parsed(tuple[Snapshot, ...], listed, "restic snapshots")


def latest() -> Snapshot | None:
    """One of the future was made while the clock was ahead, and would be the latest for long."""
    known = sorted(snapshots(), key=time_of)
    now = datetime.datetime.now().astimezone()
    past = [snapshot for snapshot in known if time_of(snapshot) <= now]
    chosen = past or known
    return chosen[-1] if chosen else None


def time_of(snapshot: Snapshot) -> datetime.datetime:
    return datetime.datetime.fromisoformat(snapshot.time)


def show_snapshots() -> None:
    for snapshot in snapshots():
        size = snapshot.summary.total_bytes_processed if snapshot.summary else 0
        print(f"{snapshot.short_id}  {snapshot.time[:19].replace('T', ' ')}  {size / 1e6:.1f} MB")
