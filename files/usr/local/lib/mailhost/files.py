"""Files as a push has them, and as they lie on the host."""

import dataclasses
import os
import pathlib
import shutil
import stat
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class File:
    #: Permission bits in octal, four digits: `0640`.
    mode: str
    #: `user:group`.
    owner: str
    #: What is no UTF-8 somebody else wrote, and is kept as it is, by surrogates. It may hold a secret.
    text: str = dataclasses.field(repr=False)

    def octets(self) -> bytes:
        return self.text.encode(errors="surrogateescape")


#: By their absolute paths.
Files = dict[str, File]


def live(path: str) -> File | None:
    """What lies at the path; a link is no file of ours."""
    target = pathlib.Path(path)
    if target.is_symlink() or not target.is_file():
        return None
    mode = stat.S_IMODE(target.stat().st_mode)
    return File(f"{mode:04o}", owner(target), target.read_bytes().decode(errors="surrogateescape"))


def owner(target: pathlib.Path) -> str:
    """By number where the number has no name."""
    status = target.stat()

    def name_of(name: Callable[[], str], number: int) -> str:
        try:
            return name()
        except KeyError:
            return str(number)

    return f"{name_of(target.owner, status.st_uid)}:{name_of(target.group, status.st_gid)}"


def put(path: str, file: File) -> None:
    """Writes a file so that a reader sees the old or the new one, and never one that is open to more readers."""
    write_beside(path, file)
    os.replace(beside(path), path)


def put_private(path: pathlib.Path, text: str) -> None:
    put(str(path), File("0600", "root:root", text))


def beside(path: str) -> str:
    """Where a file lies that has only to be renamed."""
    return f"{path}.mailhost-new"


def write_beside(path: str, file: File) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = beside(path)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.octets())
        out.flush()
        os.fsync(out.fileno())
    shutil.chown(new, *(int(part) if part.isdigit() else part for part in file.owner.split(":")))
    os.chmod(new, int(file.mode, 8))
