"""Messages that wait in the queue of OpenSMTPD, and why."""

import collections
import dataclasses
import pathlib
import re
import time
from collections.abc import Iterator

from mailhost.pauses import path_of, queue

#: OpenSMTPD tells a sender after this time that a message still waits (`bounce warn-interval`, smtpd.conf(5)).
LONG = 4 * 3600
#: A new message is tried within seconds.
UNTRIED = 3600
SMARTHOST = pathlib.Path("/etc/smtpd/smarthost")
SPOOL = pathlib.Path("/var/spool/smtpd")
#: Lines.
MOST = 10

#: As `smtpctl show queue` prints it. Of the addresses the last counts; a local part may have any character.
LINE = re.compile(
    r"(?P<id>[0-9a-f]{16})\|\w+\|\w+\|[\w,]*\|.*@(?P<domain>[^|@]*)\|(?P<since>\d+)\|\d+\|\d+\|\d+\|[a-z]+\|-?\d*\|(?P<reason>.*)"
)


@dataclasses.dataclass(frozen=True)
class Group:
    """Messages that wait at one place for one reason."""

    place: str
    reason: str
    count: int
    since: float
    is_own: bool


def warnings() -> Iterator[str]:
    """Of what is the host's own to repair, and of what has waited long."""
    late = [group for group in groups() if group.is_own or time.time() - group.since > LONG]
    yield from (f"{described(group)}. See: smtpctl show queue" for group in late[:MOST])
    if len(late) > MOST:
        yield f"messages wait for {len(late) - MOST} other reasons: smtpctl show queue"
    yield from damaged()


def damaged() -> Iterator[str]:
    """What OpenSMTPD keeps aside."""
    for folder, age, words in (
        ("corrupt", 0, "OpenSMTPD cannot read these messages"),
        (
            "offline",
            UNTRIED,
            "programs of this host wrote these messages while OpenSMTPD was down, and they were not sent",
        ),
    ):
        found = [path for path in sorted((SPOOL / folder).glob("*")) if time.time() - path.stat().st_mtime >= age]
        if found:
            yield f"{words}: {', '.join(map(str, found[:3]))}{' …' if found[3:] else ''}"


def ordinary() -> list[str]:
    """What waits for others, as it does on every host, and not for long."""
    return [described(group) for group in groups() if not group.is_own and time.time() - group.since <= LONG][:MOST]


def described(group: Group) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(group.since))
    number = "1 message waits" if group.count == 1 else f"{group.count} messages wait"
    return f"{number} for {group.place} since {since}: {group.reason}"


def groups() -> list[Group]:
    """The largest first. One message to several recipients counts once for each."""
    found: dict[tuple[str, bool, str], list[tuple[float, str]]] = collections.defaultdict(list)
    now = time.time()
    for line in queue():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        since = min(float(match["since"]), now)
        reason = match["reason"].strip('"')
        if not reason and now - since < UNTRIED:
            continue
        place, is_own = destination(match["id"], match["domain"])
        # Recipient and time would make each a reason of its own.
        kind = re.sub(r"<[^>]*>|\[[^\]]*\]", "", reason)
        found[place, is_own, kind].append((since, reason or "it was not tried yet"))
    made = [
        Group(place, entries[0][1], len(entries), min(entries)[0], is_own)
        for (place, is_own, _), entries in found.items()
    ]
    return sorted(made, key=lambda group: (-group.count, group.since))


def destination(envelope: str, domain: str) -> tuple[str, bool]:
    """What it waits for, and whether that is this host's own: the envelope names the action of smtpd.conf."""
    try:
        text = path_of(envelope).read_text(errors="replace")
    except OSError:
        text = ""
    action = re.search(r"^dispatcher: (.*)$", text, re.MULTILINE)
    match action and action[1]:
        case "mailbox":
            return "Dovecot", True
        case "scan" | "sign":
            return "amavis", True
    if SMARTHOST.exists():
        return "the smarthost", True
    return domain, False
