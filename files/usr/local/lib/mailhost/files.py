"""Files as a push has them, {mode, owner, text}, and as they lie on the host."""

import os
import pathlib
import shutil
import stat


def octets(file: dict) -> bytes:
    """What is no UTF-8 somebody else wrote, and is kept as it is."""
    return file["text"].encode(errors="surrogateescape")


def described(file: dict) -> tuple:
    return (int(file["mode"], 8), file["owner"], octets(file))


def live(path: str) -> tuple | None:
    """What lies at the path, in the form of `described`; a link is no file of ours."""
    target = pathlib.Path(path)
    if target.is_symlink() or not target.is_file():
        return None
    return (stat.S_IMODE(target.stat().st_mode), owner(target), target.read_bytes())


def owner(target: pathlib.Path) -> str:
    """By number where the number has no name."""
    status = target.stat()

    def name_of(name, number: int) -> str:
        try:
            return name()
        except KeyError:
            return str(number)

    return f"{name_of(target.owner, status.st_uid)}:{name_of(target.group, status.st_gid)}"


def pushed(path: str) -> dict | None:
    """What lies at the path, as a push would have it."""
    there = live(path)
    return there and {
        "mode": f"{there[0]:04o}",
        "owner": there[1],
        "text": there[2].decode(errors="surrogateescape"),
    }


def put(path: str, file: dict) -> None:
    """Writes a file so that a reader sees the old or the new one, and never one that is open to more readers."""
    write_beside(path, file)
    os.replace(beside(path), path)


def put_private(path: pathlib.Path, text: str) -> None:
    put(str(path), {"mode": "0600", "owner": "root:root", "text": text})


def beside(path: str) -> str:
    """Where a file lies that has only to be renamed."""
    return f"{path}.mailhost-new"


def write_beside(path: str, file: dict) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = beside(path)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(octets(file))
        out.flush()
        os.fsync(out.fileno())
    shutil.chown(new, *(int(part) if part.isdigit() else part for part in file["owner"].split(":")))
    os.chmod(new, int(file["mode"], 8))
