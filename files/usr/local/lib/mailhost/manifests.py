"""What lies on the host by whose will: files by mode, owner and hash, which tells nothing of a secret in them."""

import hashlib
import json
import pathlib

from mailhost.files import octets, put_private

STATE = pathlib.Path("/var/lib/mailhost")
#: What each push owns now.
OWNED = STATE / "manifest"
#: What the plan asked for last: another thing after a rollback.
PLAN = STATE / "plan"


def owned(name: str) -> dict:
    return read(OWNED / f"{name}.json")


def planned(name: str) -> dict:
    return read(PLAN / f"{name}.json")


def paths(name: str) -> list:
    return [str(folder / f"{name}.json") for folder in (PLAN, OWNED)]


def read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def described(files: dict) -> dict:
    return {
        path: {"mode": file["mode"], "owner": file["owner"], "sha256": hashlib.sha256(octets(file)).hexdigest()}
        for path, file in sorted(files.items())
    }


def write(name: str, files: dict, of_plan: bool = True) -> None:
    for folder in (OWNED, PLAN) if of_plan else (OWNED,):
        put_private(folder / f"{name}.json", json.dumps(described(files), indent=1))


def remove(name: str) -> None:
    for path in paths(name):
        pathlib.Path(path).unlink(missing_ok=True)
