"""Messages in files of mbox, by whatever program they were written: mboxo, mboxrd, mboxcl and mboxcl2."""

import calendar
import contextlib
import dataclasses
import email.utils
import re
from collections.abc import Iterator

from mailhost.imports.maildir import is_keyword

#: The line before a message, after an empty one or at the begin. Thunderbird may write nothing behind `From `.
BEGIN = rb"From (?:\r?\n|[^\n]*\d:\d\d[^\n]*\d{4}[^\n]*\n)"
NEXT = re.compile(rb"\n\r?\n(?=" + BEGIN + rb")")
UNQUOTED = re.compile(rb"^From ", re.MULTILINE)
QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
HEAD_END = re.compile(rb"\n\r?\n")
#: What may be behind a message whose length is given.
AFTER = re.compile(rb"(?:\r?\n)*(?:\Z|(?=" + BEGIN + rb"))")
#: Of the body alone.
LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,12})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
#: What programs keep in the file, and is none of the message.
OWN = re.compile(
    rb"^(Status|X-Status|X-Keywords|X-UID|X-IMAP|X-IMAPbase|Content-Length|X-Mozilla-Status2?|X-Mozilla-Keys):"
    rb"[ \t]*(.*)\n(?:[ \t].*\n)*",
    re.MULTILINE | re.IGNORECASE,
)
#: Of the C library, with a zone before or after the year as some write it.
DATE = re.compile(
    rb"([A-Z][a-z]{2}) +([A-Z][a-z]{2}) +(\d{1,2}) +(\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"(?: +(?P<zone>[+-]\d{4})| +[A-Z]+)? +(?P<year>\d{4})"
    rb"(?: +(?P<later>[+-]\d{4}))?"
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STATUS = {"R": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "T": "\\Draft", "D": "\\Deleted"}
#: Bits of X-Mozilla-Status.
MOZILLA = {0x1: "\\Seen", 0x2: "\\Answered", 0x4: "\\Flagged", 0x1000: "$Forwarded"}
EXPUNGED = 0x8
#: The first message of a file of UW-IMAP, which is none.
INTERNAL = re.compile(rb"^Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Where a message lies in the file, with the line before it."""

    start: int
    end: int
    #: Whether its length was given, and is right.
    given: bool


@dataclasses.dataclass(frozen=True)
class Read:
    """A message, with line ends of Unix."""

    text: bytes
    flags: frozenset[str]
    #: Seconds since 1970; None if neither the file nor the message says it.
    arrived: int | None


def spans(text: bytes | memoryview) -> Iterator[Span]:
    at = 0
    while at < len(text):
        head = HEAD_END.search(text, at)
        body = head.end() if head else len(text)
        end = given_end(text, at, body)
        given = end is not None
        if end is None:
            # The empty line after the header is the one before the next message, where there is no body.
            found = NEXT.search(text, head.start()) if head else None
            end = found.end() if found else len(text)
        yield Span(at, end, given)
        at = end


def given_end(text: bytes | memoryview, start: int, body: int) -> int | None:
    """Where Content-Length leads to, if a message ends there: a copy may have changed the line ends."""
    found = LENGTH.search(text, start, body)
    if found is None or (end := body + int(found[1])) > len(text):
        return None
    after = AFTER.match(text, end)
    return after.end() if after else None


def is_quoted(text: bytes | memoryview, found: list[Span]) -> bool:
    """Whether messages whose length is given have `>` before lines that look like the begin of one: mboxcl2 has not."""
    return not any(one.given and UNQUOTED.search(text, one.start + 1, one.end) for one in found)


def read(text: bytes, quoted: bool) -> Read | None:
    """
    Reads a message; None for what is none.

    text: with the line before it
    """
    begin, _, text = text.replace(b"\r\n", b"\n").partition(b"\n")
    head, separator, body = text.partition(b"\n\n")
    # A message that has no header begins with the empty line.
    if text.startswith(b"\n"):
        head, separator, body = b"", b"\n", text[1:]
    own = {name.lower(): value.strip() for name, value in OWN.findall(head + b"\n")}
    mozilla = own.get(b"x-mozilla-status", b"")
    bits = int(mozilla, 16) if re.fullmatch(rb"[0-9a-fA-F]{4}", mozilla) else 0
    if bits & EXPUNGED or INTERNAL.search(head):
        return None
    flags = {flag for bit, flag in MOZILLA.items() if bits & bit}
    letters = (own.get(b"status", b"") + own.get(b"x-status", b"")).decode("ascii", "replace")
    flags |= {STATUS[letter] for letter in letters if letter in STATUS}
    words = b" ".join(own.get(name, b"") for name in (b"x-keywords", b"x-mozilla-keys")).decode("utf-8", "replace")
    flags |= {word for word in words.split() if is_keyword(word)}
    # The last line that is empty belongs to the file.
    body = body[:-1] if body == b"\n" or body.endswith(b"\n\n") else body
    whole = OWN.sub(b"", head + b"\n") + separator[1:] + body if head else separator + body
    date = date_of(begin)
    return Read(
        QUOTED.sub(rb"\1", whole) if quoted else whole,
        frozenset(flags),
        date_in(head) if date is None else date,
    )


def date_of(begin: bytes) -> int | None:
    found = DATE.search(begin)
    if found is None or (month := found[2].decode()) not in MONTHS:
        return None
    zone = (found["zone"] or found["later"] or b"+0000").decode()
    away = int(f"{zone[0]}1") * (int(zone[1:3]) * 3600 + int(zone[3:]) * 60)
    day, hour, minute, second = (int(found[at] or 0) for at in (3, 4, 5, 6))
    year = int(found["year"])
    return calendar.timegm((year, MONTHS.index(month) + 1, day, hour, minute, second)) - away


def date_in(head: bytes) -> int | None:
    found = re.search(rb"^Date:(.*)$", head, re.MULTILINE | re.IGNORECASE)
    with contextlib.suppress(ValueError, OverflowError):
        if found:
            return int(email.utils.parsedate_to_datetime(found[1].decode("ascii", "replace").strip()).timestamp())
    return None
