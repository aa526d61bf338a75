"""Small things that every part needs of the operating system."""

import contextlib
import fcntl
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from mailhost.failure import Failure

#: One at a time: pushes of several daemons restart each other's services.
HOST_LOCK = "/run/mailhost.lock"
#: Seconds that one command waits for another: the longest installs all packages.
PATIENCE = 900

#: Host and port, or the path of a socket.
Address = tuple[str, int] | str
Value = TypeVar("Value")


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    with open(path, "a+") as lock:

        def free() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not free():
            lock.seek(0)
            wait_for(f"another command of mailhost ends, process {lock.read()}", free, PATIENCE)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder(path: str) -> str | None:
    """The process that has the lock, if one has it."""
    with open(path, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            return lock.read()
    return None


def run(*command: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Gives what the command printed; its words are the failure's where it fails."""
    result = subprocess.run(
        command, input=stdin or "", capture_output=True, text=True, errors="replace", env=env, check=False
    )
    if result.returncode != 0:
        words = (result.stdout + result.stderr).strip()
        raise Failure(f"{' '.join(command[:3])} failed:\n{words}")
    return result.stdout


def succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def host_name() -> str:
    return pathlib.Path("/etc/mailname").read_text().strip()


def is_active(unit: str) -> bool:
    return succeeds("systemctl", "is-active", "--quiet", unit)


def is_enabled(unit: str) -> bool:
    return succeeds("systemctl", "is-enabled", "--quiet", unit)


def wait_for(what: str, condition: Callable[[], Value | None], seconds: float) -> Value:
    """Polls until the condition gives a value that counts as true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"gave up after {seconds:.0f} s: {what}")
        time.sleep(0.05)


def answers(address: Address, greeting: bytes = b"") -> bool:
    """Whether something listens on the address, and greets as it should."""
    try:
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(5)
            connection.connect(address)
        else:
            connection = socket.create_connection(address, timeout=5)
        with connection:
            return not greeting or connection.recv(200).startswith(greeting)
    except OSError:
        return False
