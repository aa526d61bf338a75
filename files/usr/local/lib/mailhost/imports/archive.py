"""
The mail in a tar, which comes as a stream: messages of Maildirs, and files of mbox.

Nothing of it is written under a name that the tar gives: its messages go to one file without a name, which is gone with this
program.
"""

import bz2
import dataclasses
import gzip
import io
import lzma
import mmap
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from mailhost.backup import ROOT
from mailhost.failure import Failure

#: Of a message, in octets; it is held in memory.
MOST = 256 << 20
#: Of other files that are read, such as the list of subscriptions.
MOST_NOTED = 1 << 20
#: What the volume keeps free.
RESERVE = 512 << 20
#: Octets between two looks at that, and between two lines of progress.
STEP = 32 << 20
CHUNK = 1 << 20
#: The parts of a Maildir that have messages.
PARTS = ("cur", "new")
#: How Dovecot may have stored a message, by its first octets.
COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
OPAQUE = {
    b"CRYPTED\x03\x07": "is encrypted by Dovecot's mail_crypt: copy the mailbox by IMAP",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: copy the mailbox by IMAP",
    b"Dovecot-LZ4": "is compressed by LZ4: copy the mailbox by IMAP",
}
#: The parts of a path in the tar.
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Of the file without a name."""

    start: int
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A message in a Maildir, or a file of mbox."""

    name: str
    #: Seconds since 1970: when the file was changed last.
    changed: int
    piece: Piece
    #: Of a Maildir: whether a client has never seen it.
    new: bool = False


class Header(tarfile.TarInfo):
    """Tells whether a tar has come to its own end, or was cut off: tarfile takes both for the end."""

    has_ended = False

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> "tarfile.TarInfo":  # type: ignore[override]
        try:
            return super().fromtarfile(tarfile)
        except EOF:
            cls.has_ended = True
            raise


EOF: type[Exception] = tarfile.EOFHeaderError  # type: ignore[attr-defined]


class Archive:
    """What a tar has of mail, by the path there."""

    def __init__(self, stream: BinaryIO, tell: Callable[[int], None] = lambda _octets: None) -> None:
        """tell: takes the octets that were read of messages so far"""
        self.tell = tell
        self.maildirs: dict[Path, list[File]] = {}
        self.mboxes: dict[Path, File] = {}
        #: Small files beside the mail.
        self.notes: dict[Path, bytes] = {}
        #: Paths of messages that cannot be read, with the reason.
        self.unreadable: dict[Path, str] = {}
        #: Of all that was kept: what a hard link leads to is there before the link.
        self.kept: dict[Path, File] = {}
        self.file = tempfile.TemporaryFile(dir=ROOT)  # noqa: SIM115
        self.size = self.looked = 0

        try:
            self.read(stream)
        except BaseException:
            self.file.close()
            raise
        self.file.flush()
        self.text = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    def read(self, stream: BinaryIO) -> None:
        class Own(Header):
            pass

        try:
            self.look()
            with tarfile.open(fileobj=stream, mode="r|*", tarinfo=Own) as tar:
                while member := tar.next():
                    # It would keep all of them.
                    tar.members = []  # type: ignore[attr-defined]
                    self.take(tar, member)
        except (tarfile.TarError, EOFError, lzma.LZMAError) as error:
            raise Failure(f"what was sent is not a tar, or is damaged: {error}") from error
        if not Own.has_ended:
            raise Failure("the tar was cut off before its end")

    def close(self) -> None:
        if isinstance(self.text, mmap.mmap):
            self.text.close()
        self.file.close()

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = path_of(member.name)
        if ".." in path:
            self.unreadable[path] = "its path leads out of the archive"
        elif member.isdir():
            if path and path[-1] in PARTS:
                self.maildirs.setdefault(path[:-1], [])
        elif member.islnk():
            self.link(path, path_of(member.linkname))
        elif member.isreg():
            if is_message(path):
                self.message(tar, member, path)
            else:
                self.other(tar, member, path)

    def link(self, path: Path, target: Path) -> None:
        kept = self.kept.get(target)
        if kept and is_message(path):
            self.put(path, dataclasses.replace(kept, name=path[-1], new=path[-2] == "new"))
        elif target in self.unreadable:
            self.unreadable[path] = self.unreadable[target]

    def put(self, path: Path, file: File) -> None:
        self.kept[path] = file
        self.maildirs.setdefault(path[:-2], []).append(file)

    def message(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.issparse() or member.size > MOST:
            self.unreadable[path] = f"is larger than {MOST >> 20} MB"
            return
        try:
            text = plain(content(tar, member).read())
        except (Failure, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            self.unreadable[path] = str(error)
            return
        self.put(path, File(path[-1], int(member.mtime), self.keep(text), path[-2] == "new"))

    def other(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.issparse():
            return
        file = content(tar, member)
        first = file.read(5)
        if first == b"From " or (not first and path[-1:] and path[-1].endswith(".mbox")):
            start = self.keep(first).start
            while chunk := file.read(CHUNK):
                self.keep(chunk)
            self.mboxes[path] = File(path[-1], int(member.mtime), Piece(start, self.size - start))
        elif path[-1:] and path[-1] in NOTED and member.size <= MOST_NOTED:
            self.notes[path] = first + file.read()

    def keep(self, text: bytes) -> Piece:
        self.file.write(text)
        piece = Piece(self.size, len(text))
        self.size += len(text)
        if self.size - self.looked >= STEP:
            self.look()
        return piece

    def look(self) -> None:
        self.looked = self.size
        self.file.flush()
        if shutil.disk_usage(ROOT).free < RESERVE:
            raise Failure(
                f"the volume has less than {RESERVE >> 20} MB left: it needs room for the mail twice, for as long as files "
                "are imported"
            )
        self.tell(self.size)


#: Lists of folders that users have subscribed to, of Dovecot and of Courier, and the names of keywords.
NOTED = ("subscriptions", "courierimapsubscribed", "dovecot-keywords")


def path_of(name: str) -> Path:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def is_message(path: Path) -> bool:
    """What begins with a dot is none, such as what macOS keeps beside a file."""
    return len(path) > 1 and path[-2] in PARTS and not path[-1].startswith(".")


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return tar.extractfile(member) or io.BytesIO()


def plain(text: bytes) -> bytes:
    """Of a message as Dovecot may have stored it."""
    for magic, why in OPAQUE.items():
        if text.startswith(magic):
            raise Failure(why)
    for magic, opened in COMPRESSED.items():
        if text.startswith(magic):
            with opened(io.BytesIO(text)) as file:
                text = file.read(MOST + 1)
            if len(text) > MOST:
                raise Failure(f"is larger than {MOST >> 20} MB")
    return text
