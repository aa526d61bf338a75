"""What lies on the host by whose will: files by mode, owner and hash, which tells nothing of a secret in them."""

import dataclasses
import hashlib
import json
import pathlib

from mailhost.documents import parsed, plain
from mailhost.files import Files, put_private

STATE = pathlib.Path("/var/lib/mailhost")
#: What each push owns now.
OWNED = STATE / "manifest"
#: What the plan asked for last: another thing after a rollback.
PLAN = STATE / "plan"


@dataclasses.dataclass(frozen=True)
class Entry:
    #: As `File` has them.
    mode: str
    owner: str
    #: Of the file's octets, in hexadecimal digits.
    sha256: str


#: By the absolute paths of the files.
Manifest = dict[str, Entry]


def owned(name: str) -> Manifest:
    return read(OWNED / f"{name}.json")


def planned(name: str) -> Manifest:
    return read(PLAN / f"{name}.json")


def paths(name: str) -> list[str]:
    return [str(folder / f"{name}.json") for folder in (PLAN, OWNED)]


def read(path: pathlib.Path) -> Manifest:
    return parsed(Manifest, path.read_text(), str(path)) if path.exists() else {}


def described(files: Files) -> Manifest:
    return {
        path: Entry(file.mode, file.owner, hashlib.sha256(file.octets()).hexdigest())
        for path, file in sorted(files.items())
    }


def write(name: str, files: Files, of_plan: bool = True) -> None:
    for folder in (OWNED, PLAN) if of_plan else (OWNED,):
        put_private(folder / f"{name}.json", json.dumps(described(files), default=plain, indent=1))


def remove(name: str) -> None:
    for path in paths(name):
        pathlib.Path(path).unlink(missing_ok=True)
