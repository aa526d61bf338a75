"""When each account was copied last: what is asked before and after a domain moves here."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator

from mailhost.documents import parsed, plain
from mailhost.files import put_private
from mailhost.imports.memory import FOLDER

FILE = FOLDER / "copies.json"
#: Seconds for which a copy is good while the other host may get mail.
GOOD = 86_400
#: Seconds without new mail after which the other host is silent: mail servers try for that long.
SILENT = 5 * 86_400


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
    now = int(time.time())
    before = known.get(account, Last(None, now))
    put({**known, account: Last(now if whole else before.copied, now if new else before.found)})


def note_files(account: str, whole: bool) -> None:
    """Of files, which get no new mail: an account with no other source need not be copied again."""
    known = all_of(FILE)
    if whole:
        put({**known, account: dataclasses.replace(known.get(account, Last()), copied=int(time.time()))})


def put(known: dict[str, Last]) -> None:
    FILE.parent.mkdir(mode=0o700, exist_ok=True)
    put_private(FILE, json.dumps(known, default=plain))


@dataclasses.dataclass(frozen=True)
class Copies:
    """What is asked before a switch, as `mailhost copies` writes it."""

    #: When all of each account was copied last, in seconds since 1970.
    copied: dict[str, int]
    #: From when on that is fresh.
    since: int


def copies() -> Copies:
    copied = {account: last.copied for account, last in all_of(FILE).items() if last.copied is not None}
    return Copies(copied, int(time.time()) - GOOD)


def warnings() -> Iterator[str]:
    """Accounts to copy again: until the other host was seen to be silent for long enough."""
    for account, last in sorted(all_of(FILE).items()):
        if last.copied is None:
            yield f"{account} was never copied to the end from its other host: run `mailhost import`, and read its report"
            continue
        if last.copied - (last.found or 0) >= SILENT or time.time() - last.copied < GOOD:
            continue
        found = last.found or last.copied
        yield (
            f"{account} was last copied from its other host at {moment(last.copied)}, where new mail was found last at "
            f"{moment(found)}: run `mailhost import` again, before its domain is switched and after it. Once it finds nothing "
            f"new, the other host may go for this account at {moment(found + SILENT)}"
        )


def moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
