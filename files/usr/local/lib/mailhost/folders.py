"""
Where the folders of mailboxes lie on the disk.

Each is a folder of the disk below `Folders`, which has its messages in `.maildir`: `Archive/2.0` is
`mail/Folders/Archive/2.0/.maildir`. Earlier versions had them as Maildir++, `mail/.Archive.2024`, where no name has a dot,
nor all parts of a name together more than 254 octets.
"""

import base64
import contextlib
import hashlib
import os
import pathlib
import re
import shutil

from mailhost.failure import Failure

ROOT = pathlib.Path("/srv/mailhost")
CONFIGURATION = pathlib.Path("/etc/dovecot/dovecot.conf")
#: Stands in the configuration that takes mailboxes as they lie now.
LAYOUT = "mailbox_list_layout = fs"
#: No account is named like one of these, so that they say in any path which layout it has.
TOP = "Folders"
MESSAGES = ".maildir"
#: Begins an escaped character of a stored name. It can be in no other place, because names are stored in modified UTF-7
#: (RFC 3501, section 5.1.3): Dovecot 2.4.1 takes escapes out twice, and crashes where a user's own text looks like one.
ESCAPE = "\x7f"
#: A folder's name by its parts, as they are stored.
Parts = tuple[str, ...]
INBOX: Parts = ("INBOX",)

#: Files of all folders of a mailbox; what else lies beside them in Maildir++ is the inbox's.
SHARED = re.compile(rf"subscriptions|dovecot-uidvalidity.*|dovecot\.list\.index.*|dovecot\.mailbox\.log.*|\..*|{TOP}")
#: What Dovecot makes again by itself, from names that are others then.
LISTED = "dovecot.list.index*"


def stored(name: str) -> Parts:
    """The parts of a folder's name, as mail clients show it, in the form that is stored."""
    parts = ["INBOX" if not at and part.upper() == "INBOX" else part for at, part in enumerate(name.split("/"))]
    return tuple(escaped(to_utf7(part)) for part in parts)


def shown(parts: Parts) -> str:
    """The other way round."""
    return "/".join(from_utf7(unescaped(part)) for part in parts)


def escaped(part: str) -> str:
    """As Dovecot 2.4.1 does."""
    part = part.replace(ESCAPE, f"{ESCAPE}7f")
    if part in (".", "..", MESSAGES) or part.startswith("~"):
        return f"{ESCAPE}{ord(part[0]):02x}{part[1:]}"
    return part


def unescaped(part: str) -> str:
    return re.sub(f"{ESCAPE}([0-9a-f]{{2}})", lambda match: chr(int(match[1], 16)), part)


def to_utf7(text: str) -> str:
    def encoded(match: re.Match[str]) -> str:
        octets = base64.b64encode(match[0].encode("utf-16-be", "surrogatepass"))
        return f"&{octets.decode().rstrip('=').replace('/', ',')}-"

    return re.sub("[^ -~]+", encoded, text.replace("&", "&-"))


def from_utf7(text: str) -> str:
    """What is none is given as it is."""

    def decoded(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        octets = match[1].replace(",", "/") + "=" * (-len(match[1]) % 4)
        with contextlib.suppress(ValueError):
            return base64.b64decode(octets, validate=True).decode("utf-16-be")
        return match[0]

    return re.sub("&([^-]*)-", decoded, text)


def path_of(parts: Parts) -> pathlib.Path:
    """Where the messages of a folder lie, below `mail`."""
    return pathlib.Path(TOP, *parts, MESSAGES)


def parts_of(path: pathlib.Path) -> Parts:
    """Of which folder the messages are, by where they lie below `mail`, in either layout."""
    if path.parts[:1] == (TOP,):
        return path.parts[1:-1]
    return tuple(map(escaped, path.name[1:].split("."))) if path.parts else INBOX


def is_kept(place: str | pathlib.Path, *parts: str) -> bool:
    """Whether a folder of the disk is one of these parts of a Maildir, e.g. `cur`, and no folder of a user's."""
    path = pathlib.Path(place)
    return path.name in parts and (path.parent.name == MESSAGES or TOP not in path.parts)


def make(path: pathlib.Path, mail: pathlib.Path) -> None:
    """With all above it, as the mailbox's own."""
    for folder in (*reversed(path.parents), path):
        if mail in folder.parents and not folder.is_dir():
            folder.mkdir(mode=0o700)
            os.chown(folder, os.stat(mail).st_uid, os.stat(mail).st_gid)


def mailboxes() -> list[pathlib.Path]:
    """Of every account, also of those that are no more."""
    return [
        mail for pattern in ("mail/*/*/mail", "home/*/mail") for mail in sorted(ROOT.glob(pattern)) if mail.is_dir()
    ]


def asked_for() -> bool | None:
    """Whether Dovecot is to take mailboxes as they lie now; None where it has no configuration."""
    return LAYOUT in CONFIGURATION.read_text() if CONFIGURATION.exists() else None


def to_convert() -> bool:
    wanted = asked_for()
    return wanted is not None and any(is_old(mail) if wanted else (mail / TOP).exists() for mail in mailboxes())


def convert() -> None:
    """
    Brings every mailbox into the layout that Dovecot's configuration asks for, by renames of whole folders.

    UIDs, flags and subscriptions lie in them, and stay. Dovecot must not run. Can be killed at any point and begun again,
    also the other way round.
    """
    wanted = asked_for()
    if wanted is None:
        return
    for mail in mailboxes():
        if wanted and is_old(mail):
            unfold(mail)
        elif not wanted and (mail / TOP).exists():
            fold(mail)


def old_folders(mail: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in sorted(mail.iterdir()) if path.name.startswith(".") and path.is_dir()]


def is_old(mail: pathlib.Path) -> bool:
    return (mail / "cur").exists() or bool(old_folders(mail))


def unfold(mail: pathlib.Path) -> None:
    """From Maildir++."""
    forget_list(mail)
    if (mail / "cur").exists():
        inbox = mail / path_of(INBOX)
        make(inbox, mail)
        own = [path for path in sorted(mail.iterdir()) if not SHARED.fullmatch(path.name)]
        # The one by which the rest is found, if this is cut off, goes last.
        for path in sorted(own, key=lambda path: path.name == "cur"):
            move(path, inbox / path.name)
    for path in old_folders(mail):
        parts = parts_of(path.relative_to(mail))
        if not all(parts):
            # What was deleted, and not yet in full.
            shutil.rmtree(path)
            continue
        target = mail / path_of(parts)
        while target.exists():
            target = target.parent.with_name(f"{target.parent.name}_") / MESSAGES
        make(target.parent, mail)
        path.rename(target)


def fold(mail: pathlib.Path) -> None:
    """Back to Maildir++. A name that it cannot have is made one that it can."""
    forget_list(mail)
    top = mail / TOP
    for place, subfolders, _ in os.walk(top):
        if MESSAGES not in subfolders:
            continue
        subfolders.remove(MESSAGES)
        source, parts = pathlib.Path(place, MESSAGES), pathlib.Path(place).relative_to(top).parts
        if parts == INBOX:
            for path in sorted(source.iterdir(), key=lambda path: path.name == "cur"):
                move(path, mail / path.name)
            source.rmdir()
            continue
        name = old_name(parts)
        while (mail / f".{name}").exists():
            name += "_"
        source.rename(mail / f".{name}")
    for place, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(place)
    if top.exists():
        raise Failure(f"{top} has files that belong to no folder: look at them, and take them away")


def old_name(parts: Parts) -> str:
    """Of Maildir++, and of a folder that has none, one that is like its own."""
    name = ".".join(unescaped(part).replace(".", "_") for part in parts)
    if name.startswith("~"):
        name = f"_{name[1:]}"
    return name if len(name) < 250 else f"long_{hashlib.sha256(name.encode()).hexdigest()}"


def move(path: pathlib.Path, target: pathlib.Path) -> None:
    """Over nothing: messages of both come together, and of the rest what is there already stays."""
    if not target.exists():
        path.rename(target)
    elif path.is_dir():
        for child in path.iterdir():
            move(child, target / child.name)
        path.rmdir()
    else:
        path.unlink()


def forget_list(mail: pathlib.Path) -> None:
    for path in mail.glob(LISTED):
        path.unlink()
