"""Puts a daemon's files in force as one transaction: check, swap, restart, wait for the answer, or put the old back."""

import json
import os
import pathlib
import shutil
import stat

import history
import manifests
from failure import Failure
from system import run

STATE = pathlib.Path("/var/lib/mailhost")
#: In memory: secrets lie in it for a moment.
STAGING = pathlib.Path("/run/mailhost-staging")


def staged_path(name: str) -> pathlib.Path:
    """Keeps a daemon's files with secrets until they are put in force."""
    return STATE / "staged" / f"{name}.json"


def activate(daemon, files: dict, of_plan: bool = True) -> str:
    """
    Gives one line that says what was done.

    `files` is {path: {mode, owner, text}}. What the daemon owned before and is not among them is removed. `of_plan` is
    false where they are not what the plan asks for, but what was in force earlier.
    """
    pending = STATE / "pending" / daemon.name
    owned = manifests.owned(daemon.name)
    backup = STATE / "backup" / daemon.name
    if not pending.exists():
        shutil.rmtree(backup, ignore_errors=True)
    changed = sorted(path for path, file in files.items() if live(path) != described(file))
    # What a push that did not end has brought is nobody's either.
    known = {*owned, *kept(backup)}
    removed = sorted(path for path in known if path not in files and os.path.lexists(path))
    if not (changed or removed or pending.exists()) and daemon.is_ready():
        settle(daemon, files, of_plan)
        return f"{daemon.name}: nothing to change"

    stage = STAGING / daemon.name
    shutil.rmtree(STAGING, ignore_errors=True)
    STAGING.mkdir(mode=0o700)
    for path, file in files.items():
        put(str(stage) + path, file)
    for path in removed:
        hide(str(stage) + path)
    try:
        daemon.check(files, lambda *command: in_stage(stage, files, command), owned)
    finally:
        shutil.rmtree(STAGING)

    try:
        for path in changed:
            write_beside(path, files[path])
        keep(backup, changed + removed)
        pending.parent.mkdir(parents=True, exist_ok=True)
        pending.touch()
    except OSError as error:
        for path in changed:
            pathlib.Path(beside(path)).unlink(missing_ok=True)
        if not pending.exists():
            shutil.rmtree(backup, ignore_errors=True)
        raise Failure(f"{daemon.name}: its files cannot be written ({error}); nothing was changed") from error
    try:
        for path in changed:
            os.replace(beside(path), path)
        for path in removed:
            pathlib.Path(path).unlink(missing_ok=True)
        daemon.restart(changed + removed)
    except (Failure, OSError, LookupError) as failure:
        restore(backup)
        pending.unlink()
        shutil.rmtree(backup)
        try:
            if owned:
                daemon.restart(changed + removed)
                state = "the files from before are back, and so is the daemon"
            else:
                daemon.stop()
                state = "it had no files before, and is stopped"
        except Failure as second:
            state = f"the files from before are back, but: {second}"
        raise Failure(f"{daemon.name} does not run with its new files; {state}.\n{failure}") from failure
    settle(daemon, files, of_plan)
    pending.unlink()
    shutil.rmtree(backup)
    return f"{daemon.name}: {', '.join(changed + removed) or 'restarted'}"


def settle(daemon, files: dict, of_plan: bool) -> None:
    """Writes down what is in force."""
    manifests.write(daemon.name, files, of_plan)
    history.remember(daemon.name, files)


def withdraw(daemon) -> None:
    """Stops what is no longer wanted, and removes the files that were pushed for it."""
    pending = STATE / "pending" / daemon.name
    backup = STATE / "backup" / daemon.name
    owned = manifests.owned(daemon.name)
    if not (owned or pending.exists()):
        return
    daemon.stop()
    for path in {*owned, *kept(backup)}:
        pathlib.Path(path).unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    shutil.rmtree(backup, ignore_errors=True)
    history.forget(daemon.name)
    for path in (staged_path(daemon.name), pending):
        path.unlink(missing_ok=True)
    manifests.remove(daemon.name)


def described(file: dict) -> tuple:
    return (int(file["mode"], 8), file["owner"], file["text"].encode())


def live(path: str) -> tuple | None:
    """What lies at the path, in the form of `described`."""
    target = pathlib.Path(path)
    if not target.is_file():
        return None
    return (stat.S_IMODE(target.stat().st_mode), f"{target.owner()}:{target.group()}", target.read_bytes())


def put(path: str, file: dict) -> None:
    """Writes a file so that a reader sees the old or the new one, and never one that is open to more readers."""
    write_beside(path, file)
    os.replace(beside(path), path)


def beside(path: str) -> str:
    """Where a file lies that has only to be renamed."""
    return f"{path}.mailhost-new"


def write_beside(path: str, file: dict) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = beside(path)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file["text"].encode())
        out.flush()
        os.fsync(out.fileno())
    shutil.chown(new, *file["owner"].split(":"))
    os.chmod(new, int(file["mode"], 8))


def hide(path: str) -> None:
    """An overlay takes this for the mark of a removed file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def in_stage(stage: pathlib.Path, files: dict, command: tuple) -> str:
    """Runs a command in a mount namespace in which the staged files lie at their real paths."""
    roots = sorted({path.split("/")[1] for path in files})
    mounts = " && ".join(
        f"mount -t overlay overlay -o ro,lowerdir={stage}/{root}:/{root} /{root}" for root in roots
    )
    try:
        return run(
            "unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command
        )
    except Failure as failure:
        words = str(failure).partition("\n")[2]
        raise Failure(f"`{' '.join(command)}` refuses the new files; nothing was changed.\n{words}") from failure


def kept(backup: pathlib.Path) -> dict:
    """What lay at each path before the first push that has not ended: a file, or None for nothing."""
    index = backup / "index.json"
    return json.loads(index.read_text()) if index.exists() else {}


def keep(backup: pathlib.Path, paths: list) -> None:
    """Adds what is not kept yet: after a push that was killed, the files from before it are the ones to go back to."""
    entries = kept(backup)
    for path in paths:
        if path not in entries:
            before = live(path)
            entries[path] = before and {"mode": f"{before[0]:04o}", "owner": before[1], "text": before[2].decode()}
    backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    backup.chmod(0o700)
    put(str(backup / "index.json"), {"mode": "0600", "owner": "root:root", "text": json.dumps(entries)})


def restore(backup: pathlib.Path) -> None:
    for path, file in kept(backup).items():
        if file is None:
            pathlib.Path(path).unlink(missing_ok=True)
        else:
            put(path, file)
