"""Puts a daemon's files in force as one transaction: check, swap, restart, wait for the answer, or put the old back."""

import json
import os
import pathlib
import select
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from mailhost import history, manifests
from mailhost.documents import parsed
from mailhost.failure import Failure
from mailhost.files import Files, beside, live, put, put_private, write_beside
from mailhost.system import run

STATE = pathlib.Path("/var/lib/mailhost")
#: In memory: secrets lie in it for a moment.
STAGING = pathlib.Path("/run/mailhost-staging")

#: Runs a command that sees the files of a push in place; gives what it printed.
Staged = Callable[..., str]


class Daemon(Protocol):
    """What a transaction needs of the daemon whose files it puts in force."""

    name: str

    def check(self, files: Files, staged: Staged, owned: manifests.Manifest) -> None: ...

    def is_ready(self) -> bool: ...

    def restart(self, changed: list[str]) -> None: ...

    def stop(self) -> None: ...


Kind = TypeVar("Kind", bound=Daemon)


def staged_path(name: str, tag: str) -> pathlib.Path:
    """Keeps a daemon's files with secrets until they are put in force, and as long as they are."""
    return STATE / "staged" / f"{name}.{tag}.json"


def staged_paths(name: str) -> list[pathlib.Path]:
    return list((STATE / "staged").glob(f"{name}.*"))


def activate(daemon: Daemon, files: Files, of_plan: bool = True, secrets: str | None = None) -> str:
    """
    Gives one line that says what was done.

    What the daemon owned before and is not among `files` is removed. `of_plan` is false where they are not what the plan
    asks for, but what was in force earlier. `secrets` names what was staged.
    """
    owned = manifests.owned(daemon.name)
    changed = sorted(path for path, file in files.items() if live(path) != file)
    removed = sorted(path for path in owned if path not in files and os.path.lexists(path))
    if not (changed or removed) and daemon.is_ready():
        settle(daemon, files, of_plan, secrets)
        return f"{daemon.name}: nothing to change"

    stage = STAGING / daemon.name
    shutil.rmtree(STAGING, ignore_errors=True)
    STAGING.mkdir(mode=0o700)
    try:
        for path, file in files.items():
            put(str(stage) + path, file)
        for path in removed:
            hide(str(stage) + path)
        daemon.check(files, lambda *command: in_stage(stage, files, command), owned)
    finally:
        shutil.rmtree(STAGING)

    notes = [*manifests.paths(daemon.name), str(history.next_entry(daemon.name))]
    try:
        announce(daemon, [*changed, *removed, *notes])
        for path in changed:
            write_beside(path, files[path])
        keep(daemon)
    except OSError as error:
        for path in changed:
            pathlib.Path(beside(path)).unlink(missing_ok=True)
        forget(daemon)
        raise Failure(f"{daemon.name}: its files cannot be written ({error}); nothing was changed") from error
    try:
        for path in changed:
            os.replace(beside(path), path)
        for path in removed:
            pathlib.Path(path).unlink(missing_ok=True)
        daemon.restart(changed + removed)
        if is_abandoned():
            raise Failure("whoever asked for it is gone, and would not know that it is in force")
    except Exception as failure:
        raise Failure(f"{daemon.name} does not run with its new files; {go_back(daemon)}.\n{failure}") from failure
    except BaseException:
        # It is being ended.
        go_back(daemon)
        raise
    settle(daemon, files, of_plan, secrets)
    forget(daemon)
    return f"{daemon.name}: {', '.join(changed + removed) or 'restarted'}"


def is_abandoned() -> bool:
    """Whether nobody is there any more to read the answer: the SSH connection was cut."""
    if sys.__stdout__ is None:
        return False
    poll = select.poll()
    poll.register(sys.__stdout__, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def go_back(daemon: Daemon) -> str:
    """Puts in force again what was before a push that has not ended; gives words for how that went."""
    changed = [path for path in kept(daemon) if STATE not in pathlib.Path(path).parents]
    put_back(daemon)
    try:
        if manifests.owned(daemon.name):
            daemon.restart(changed)
            return "the files from before are back, and so is the daemon"
        daemon.stop()
        return "it had no files before, and is stopped"
    except Exception as failure:
        return f"the files from before are back, but: {failure}"


def put_back(daemon: Daemon) -> None:
    """By renames alone, for which there is room on a disk that is full. Can be killed, and begun again."""
    for path, name in kept(daemon).items():
        pathlib.Path(beside(path)).unlink(missing_ok=True)
        if name is None:
            pathlib.Path(path).unlink(missing_ok=True)
        elif os.path.lexists(kept_in(daemon) / name):
            os.replace(kept_in(daemon) / name, path)
    forget(daemon)


def unended(daemons: Iterable[Kind]) -> list[Kind]:
    """The ones whose last push was killed."""
    return [daemon for daemon in daemons if kept(daemon)]


def settle(daemon: Daemon, files: Files, of_plan: bool, secrets: str | None) -> None:
    """Writes down what is in force."""
    manifests.write(daemon.name, files, of_plan)
    history.remember(daemon.name, files)
    for path in staged_paths(daemon.name):
        if secrets is not None and path != staged_path(daemon.name, secrets):
            path.unlink()


def withdraw(daemon: Daemon) -> None:
    """Stops what is no longer wanted, and removes the files that were pushed for it."""
    owned = manifests.owned(daemon.name)
    if not owned:
        return
    daemon.stop()
    for path in owned:
        pathlib.Path(path).unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    history.forget(daemon.name)
    for staged in staged_paths(daemon.name):
        staged.unlink()
    manifests.remove(daemon.name)


def hide(path: str) -> None:
    """An overlay takes this for the mark of a removed file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def in_stage(stage: pathlib.Path, files: Files, command: tuple[str, ...]) -> str:
    """Runs a command in a mount namespace in which the staged files lie at their real paths."""
    roots = sorted({path.split("/")[1] for path in files})
    mounts = " && ".join(f"mount -t overlay overlay -o ro,lowerdir={stage}/{root}:/{root} /{root}" for root in roots)
    try:
        return run(
            "unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command
        )
    except Failure as failure:
        words = str(failure).partition("\n")[2]
        raise Failure(f"`{' '.join(command)}` refuses the new files; nothing was changed.\n{words}") from failure


def kept_in(daemon: Daemon) -> pathlib.Path:
    return STATE / "backup" / daemon.name


def kept(daemon: Daemon) -> dict[str, str | None]:
    """Under which name each path is kept that a push that has not ended changes; None where there was nothing."""
    index = kept_in(daemon) / "index.json"
    return parsed(dict[str, str | None], index.read_text(), str(index)) if index.exists() else {}


def text_before(daemon: Daemon, path: str) -> str | None:
    """Of a file that a push which has not ended changes; None where it had none, or nothing changes it."""
    name = kept(daemon).get(path)
    return None if name is None else (kept_in(daemon) / name).read_text()


def announce(daemon: Daemon, paths: list[str]) -> None:
    """Before the first of them is written beside another, so that it is found where the push is killed."""
    forget(daemon)
    kept_in(daemon).mkdir(parents=True, mode=0o700)
    index = {path: str(number) if os.path.lexists(path) else None for number, path in enumerate(paths)}
    put_private(kept_in(daemon) / "index.json", json.dumps(index))


def keep(daemon: Daemon) -> None:
    """By further names of the files themselves, so that whoever they belong to, and whatever is in them, comes back."""
    for path, name in kept(daemon).items():
        if name is not None:
            os.link(path, kept_in(daemon) / name, follow_symlinks=False)


def forget(daemon: Daemon) -> None:
    # First what tells of the others: without some of them it would bring back only half.
    (kept_in(daemon) / "index.json").unlink(missing_ok=True)
    shutil.rmtree(kept_in(daemon), ignore_errors=True)
