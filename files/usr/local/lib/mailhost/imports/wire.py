"""What IMAP answers, in the form in which imaplib gives it."""

import re
from collections.abc import Iterable, Iterator

from mailhost.imports.messages import Entry, Message, name_of

#: What a client cannot set, or has no meaning elsewhere.
NOT_KEPT = {"\\recent"}
#: A keyword that IMAP can carry.
KEYWORD = re.compile(r'\\?[^\s(){%*"\\\]\x00-\x1f\x7f-\xff]+')

#: Begins an answer to FETCH; imaplib leaves out the word.
BEGIN = rb"\d+ (?:FETCH )?\("

#: One answer: a line, with literals in between.
Part = bytes | tuple[bytes, bytes]


def quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(text: bytes) -> str:
    if text.startswith(b'"'):
        text = re.sub(rb"\\(.)", rb"\1", text[1:-1])
    return text.decode("ascii", "replace")


def answers(data: Iterable[Part | None]) -> Iterator[tuple[str, bytes | None]]:
    """Each message of an answer to FETCH: its line, and its literal. Gives None where it has none."""
    line, literal = "", None
    for part in data:
        if part is None:
            continue
        if isinstance(part, tuple):
            # A new one begins with its number; another literal of the same one does not.
            if re.match(BEGIN, part[0]):
                if line:
                    yield line, literal
                line, literal = "", None
            line += part[0].decode("latin-1")
            literal = part[1]
        elif re.match(BEGIN, part):
            if line:
                yield line, literal
            line, literal = part.decode("latin-1"), None
        else:
            line += part.decode("latin-1")
    if line:
        yield line, literal


def flags_in(line: str) -> frozenset[str]:
    found = re.search(r"FLAGS \(([^)]*)\)", line)
    words = found[1].split() if found else []
    return frozenset(word for word in words if word.lower() not in NOT_KEPT and KEYWORD.fullmatch(word))


def number(line: str, field: str) -> int | None:
    found = re.search(rf"\b{re.escape(field)} (\d+)", line)
    return int(found[1]) if found else None


def entry_in(line: str, header: bytes | None) -> tuple[int, Entry] | None:
    uid, size = number(line, "UID"), number(line, "RFC822.SIZE")
    if uid is None or size is None:
        return None
    return uid, Entry(name_of(header or b""), size, flags_in(line))


def message_in(line: str, text: bytes | None) -> tuple[int, Message] | None:
    uid = number(line, "UID")
    date = re.search(r'INTERNALDATE "([^"]*)"', line)
    if uid is None or "BODY[] " not in line:
        return None
    return uid, Message(flags_in(line), date[1] if date else "", text or b"")


def listed(part: Part) -> tuple[set[str], str | None, str] | None:
    """Of an answer to LIST: flags, separator, and name."""
    line, literal = (part[0], part[1]) if isinstance(part, tuple) else (part, None)
    found = re.match(rb'\(([^)]*)\) (NIL|"(?:\\.|[^"\\])*") (.*)', line, re.DOTALL)
    if found is None:
        return None
    separator = None if found[2] == b"NIL" else unquoted(found[2])
    name = literal.decode("ascii", "replace") if literal is not None else unquoted(found[3])
    return set(found[1].decode("ascii", "replace").split()), separator, name
