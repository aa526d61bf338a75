"""The configurations that each daemon ran well with. Root alone may read them: secrets are in them."""

import json
import pathlib
import shutil
import time

from mailhost.documents import parsed, plain
from mailhost.files import Files, put_private

FOLDER = pathlib.Path("/var/lib/mailhost/history")
#: Besides the one in force.
KEPT = 5


def entries(name: str) -> list[pathlib.Path]:
    """Paths, the newest first."""
    return sorted((FOLDER / name).glob("*.json"), reverse=True)


def read(entry: pathlib.Path) -> Files:
    return parsed(Files, entry.read_text(), str(entry))


def next_entry(name: str) -> pathlib.Path:
    """Numbered, because a clock can go back."""
    past = entries(name)
    number = int(past[0].stem) + 1 if past else 1
    return FOLDER / name / f"{number:06}.json"


def remember(name: str, files: Files) -> None:
    past = entries(name)
    if past and read(past[0]) == files:
        return
    for made in (FOLDER, FOLDER / name):
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
    put_private(next_entry(name), json.dumps(files, default=plain))
    for old in past[KEPT:]:
        old.unlink()


def forget(name: str) -> None:
    shutil.rmtree(FOLDER / name, ignore_errors=True)


def when(entry: pathlib.Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.stat().st_mtime))


def tell(name: str) -> None:
    """Prints a line for each, with the number that a rollback takes, and the files that are other ones than now."""
    past = entries(name)
    print(name)
    for number, entry in enumerate(past):
        differing = difference(read(entry), read(past[0]))
        words = "in force" if number == 0 else f"differs in {', '.join(differing)}" if differing else "as in force"
        print(f"  {number}  {when(entry)}  {words}")


def difference(one: Files, other: Files) -> list[str]:
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))
