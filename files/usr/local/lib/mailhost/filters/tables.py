"""Tables that are replaced while a filter runs."""

import os
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Table = TypeVar("Table")

#: Seconds for which a former table is remembered. A message that takes longer than that is judged by the later ones.
MEMORY = 86400


class Tables(Generic[Table]):
    """What `read` makes of the files at these paths, which may be missing; again whenever one of them was replaced."""

    def __init__(self, read: Callable[[], Table], *paths: str):
        self.read = read
        self.paths = paths
        self.versions = self.look()
        self.value = read()
        #: Until when each former one was in force, by time.monotonic().
        self.former: list[tuple[float, Table]] = []

    def now(self) -> Table:
        versions = self.look()
        if versions != self.versions:
            value, moment = self.read(), time.monotonic()
            self.former = [(end, one) for end, one in self.former if end > moment - MEMORY]
            self.former.append((moment, self.value))
            self.versions, self.value = versions, value
        return self.value

    def since(self, moment: float) -> list[Table]:
        """The ones in force at that time, and later."""
        value = self.now()
        return [value, *(one for end, one in self.former if end >= moment)]

    def look(self) -> list[tuple[int, int, int] | None]:
        return [version(path) for path in self.paths]


def version(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def pairs(path: str) -> dict[str, str]:
    """Keys, in lower case, with their values."""
    with open(path) as lines:
        entries = [line.rstrip("\n").split(None, 1) for line in lines]
    return {key.lower(): value for key, value in entries}
