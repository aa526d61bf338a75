"""When each account was copied last: what is asked before and after a domain moves here."""

import dataclasses
import json
import pathlib
import time

from mailhost.documents import parsed, plain
from mailhost.files import put_private
from mailhost.imports.memory import FOLDER

FILE = FOLDER / "copies.json"


@dataclasses.dataclass(frozen=True)
class Last:
    """Of one account."""

    #: When all of it was copied last, in seconds since 1970; None if it never was.
    copied: int | None = None
    #: When a run last found new mail at the other host.
    found: int | None = None


def all_of(file: pathlib.Path = FILE) -> dict[str, Last]:
    return parsed(dict[str, Last], file.read_text(), str(file)) if file.exists() else {}


def note(account: str, new: int, whole: bool) -> None:
    known = all_of(FILE)
    before = known.get(account, Last())
    now = int(time.time())
    known[account] = Last(now if whole else before.copied, now if new else before.found)
    FILE.parent.mkdir(mode=0o700, exist_ok=True)
    put_private(FILE, json.dumps(known, default=plain))
