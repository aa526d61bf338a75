"""Mailboxes of Maildirs: where each begins in an archive, what its folders are called, and what names of files say."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping

from mailhost import folders
from mailhost.imports import wire
from mailhost.imports.archive import Archive, File, Path

FLAGS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
#: Before it, a name is the same for as long as the message is there. File systems without `:` have another character.
INFO = re.compile(r"[:;!]2,")
#: Keywords that a Maildir of Dovecot can have, by small letters.
MOST_KEYWORDS = 26
#: Octets of one part of a name; Dovecot takes not many more.
LONGEST = 200
#: `.` in a name of Maildir++, as Dovecot's listescape writes it.
ESCAPED = re.compile(r"\\([0-9a-f]{2})")


@dataclasses.dataclass(frozen=True)
class Place:
    """Of a folder."""

    #: The mailbox that it belongs to.
    root: Path
    #: Its name, as it is stored there.
    parts: tuple[str, ...]


def places(maildirs: Collection[Path]) -> dict[Path, Place]:
    """Of each folder with messages, in Maildir++, in Dovecot's layout fs, or as this host has it."""
    found: dict[Path, Place] = {}
    nested: list[Path] = []
    for path in maildirs:
        if path[-1:] == (folders.MESSAGES,) and folders.TOP in path:
            at = path.index(folders.TOP)
            found[path] = Place(path[:at], tuple(map(folders.unescaped, path[at + 1 : -1])))
        elif path[-1:] and path[-1].startswith(".") and path[-1] != folders.MESSAGES:
            found[path] = Place(path[:-1], tuple(path[-1][1:].split(".")))
        else:
            nested.append(path)
    roots = {place.root for place in found.values()}
    for path in sorted(nested, key=len):
        above = (path[:length] for length in range(len(path)))
        root = next((one for one in above if one in roots), path)
        roots.add(root)
        found[path] = Place(root, path[len(root) :] or ("INBOX",))
    return found


def root_of(roots: Iterable[Path], user: str) -> Path | None:
    """The mailbox of a user: by the end of its path where there are several. None if none is surely that."""
    known = sorted(set(roots))
    if len(known) == 1:
        return known[0]
    local, _, domain = user.partition("@")
    for end in ((domain, local), (user,), (local,)):
        # Below it there may be one more, such as Maildir.
        found = [root for root in known if end in (root[-len(end) :], root[-len(end) - 1 : -1])]
        if len(found) == 1:
            return found[0]
    return None


def shown(part: str) -> str:
    """A part of a folder's name, as mail clients show it, and as it can be here."""
    text = clean(part)
    if text.isascii():
        text = folders.from_utf7(ESCAPED.sub(lambda match: chr(int(match[1], 16)), text))
    text = re.sub(r"[\x00-\x1f\x7f]", "_", text) or "_"
    while len(folders.to_utf7(text)) > LONGEST:
        text = text[:-1]
    return text


def clean(text: str) -> str:
    """Without octets that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def flags_of(file: File, keywords: Mapping[str, str]) -> frozenset[str]:
    """keywords: by letter"""
    letters = INFO.split(file.name, maxsplit=1)[1:]
    if file.new or not letters:
        return frozenset()
    return frozenset(FLAGS.get(letter) or keywords[letter] for letter in letters[0] if letter in {**FLAGS, **keywords})


def keywords_of(archive: Archive, folder: Path) -> dict[str, str]:
    lines = archive.notes.get((*folder, "dovecot-keywords"), b"").decode("utf-8", "replace").splitlines()
    pairs = (line.split(" ", 1) for line in lines if re.fullmatch(r"\d{1,2} \S+", line))
    return {
        chr(ord("a") + int(number)): word for number, word in pairs if int(number) < MOST_KEYWORDS and is_keyword(word)
    }


def is_keyword(word: str) -> bool:
    return not word.startswith("\\") and wire.KEYWORD.fullmatch(word) is not None


def arrival_of(file: File) -> int:
    """By when the file was changed, as Dovecot has it; where a copy has lost that, by its name."""
    begin = re.match(r"\d{9,10}(?=\.)", file.name)
    return file.changed if file.changed > 0 or begin is None else int(begin[0])


def subscriptions_of(archive: Archive, root: Path) -> set[str]:
    """As the lines of the list are, without the prefix of the old host's names."""
    found: set[str] = set()
    for name in ("subscriptions", "courierimapsubscribed"):
        lines = archive.notes.get((*root, name), b"").decode("utf-8", "replace").splitlines()
        found |= {re.sub(r"^INBOX[./](?=.)", "", line) for line in lines}
    return found


def is_subscribed(parts: tuple[str, ...], subscribed: set[str]) -> bool:
    stored = tuple(clean(part) for part in parts)
    return any(
        separator.join(one) in subscribed
        for one in (stored, tuple(map(shown, parts)))
        for separator in ("/", ".", "\t")
    )
