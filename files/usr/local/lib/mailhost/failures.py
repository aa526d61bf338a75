"""
Units that failed: which, since when, and whether the postmaster knows.

systemd starts `mailhost failures` when a service fails, and a timer starts it every ten minutes: for units that are not
services, to send what could not be sent, and to see what runs well again. A daemon that ends, and that systemd starts
again, has failed, too.
"""

import contextlib
import dataclasses
import json
import pathlib
import time
from typing import TypeVar

from mailhost import backup, pauses
from mailhost.daemons import wanted
from mailhost.documents import parsed, plain
from mailhost.failure import ERRORS, Failure
from mailhost.files import put_private
from mailhost.notices import notify_postmaster
from mailhost.system import HOST_LOCK, host_name, locked, run, succeeds
from mailhost.transaction import STATE

TIMER = "mailhost-failures.timer"
ENTRIES = STATE / "failures.json"
#: How often systemd has started each daemon again, as seen last.
RESTARTS = STATE / "restarts.json"
LOCK = "/run/mailhost-failures.lock"
#: Mails a day of a unit that fails and succeeds by turns.
MOST_MAILS = 3
DAY = 86400
#: Units that mail by themselves, each with whether it did so today.
TELL = {"mailhost-backup.service": backup.has_told}
#: What systemd does about a failure tells nothing of it.
UNTOLD = ("Triggering OnFailure= dependencies", "Scheduled restart job")
#: systemd's message of a unit that ended without an error (SD_MESSAGE_UNIT_SUCCESS, systemd.journal-fields(7)).
SUCCESS = "7ad2d189f7e94e70a38c781354912448"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A unit that fails, or did. Times are seconds of the epoch."""

    #: When it failed for the first time since it last ran well, and when last.
    since: float
    last: float
    #: How often since then.
    times: int
    #: systemd's id of the run that failed, where that is known.
    invocation: str | None = None
    #: What it said.
    words: str = ""
    #: When the postmaster was told of it, in the last day.
    mails: tuple[float, ...] = ()
    is_told: bool = False
    #: Whether it runs well again.
    is_over: bool = False
    #: Whether a check has named it.
    is_shown: bool = False


Kind = TypeVar("Kind")
#: By the names of the units.
Entries = dict[str, Entry]


def report() -> None:
    """
    Notes what has failed, and mails what the postmaster does not know yet.

    What fails during a push is the push's to report, so this waits for its end.
    """
    with locked(HOST_LOCK):
        note()
        pauses.note()
    with locked(LOCK):
        now = time.time()
        entries = {
            unit: dataclasses.replace(
                entry,
                mails=tuple(at for at in entry.mails if 0 <= now - at < DAY),
                is_told=entry.is_told or (unit in TELL and TELL[unit]()),
            )
            for unit, entry in load().items()
        }
        untold = {unit: entry for unit, entry in entries.items() if not entry.is_told and len(entry.mails) < MOST_MAILS}
        if untold:
            try:
                notify_postmaster(*notice(untold))
            except ERRORS as error:
                print(
                    f"WARNING: the postmaster cannot be told that {', '.join(untold)} failed, and will be later: {error}"
                )
            else:
                for unit, entry in untold.items():
                    entries[unit] = dataclasses.replace(entry, is_told=True, mails=(*entry.mails, now))
        save(entries)


def note() -> None:
    """Compares what is noted with the units as they are."""
    with locked(LOCK):
        entries = load()
        failed = failed_units()
        for unit in failed:
            entry = entries.get(unit)
            invocation = property_of(unit, "InvocationID")
            if entry is None or invocation != entry.invocation:
                is_new = entry is None or entry.is_over or succeeded_since(unit, entry.last)
                again = failed_again(None if is_new else entry, entry, 1, words_of(unit, invocation))
                entries[unit] = dataclasses.replace(again, invocation=invocation)
        for unit, times in restarted().items():
            entry = entries.get(unit)
            if entry is not None and unit in failed:
                entries[unit] = dataclasses.replace(entry, times=entry.times + times)
            else:
                entries[unit] = failed_again(None, entry, times, words_of(unit))
        for unit, entry in entries.items():
            # While it is tried again, nobody knows.
            if unit not in failed and property_of(unit, "ActiveState") != "activating":
                entries[unit] = dataclasses.replace(entry, is_over=True)
        save(entries)


def failed_again(streak: Entry | None, before: Entry | None, times: int, words: str) -> Entry:
    """The entry of a unit that has failed so many times more, of the streak or as the first of another."""
    now = time.time()
    return Entry(
        since=streak.since if streak else now,
        last=now,
        times=times + (streak.times if streak else 0),
        words=words,
        mails=before.mails if before else (),
        is_told=streak.is_told if streak else False,
    )


def restarted() -> dict[str, int]:
    """How often systemd has started a daemon again since the last look, of each for which it had to."""
    before = read(dict[str, int], RESTARTS)
    units = [
        f"{daemon.unit}.service"
        for daemon in wanted()
        if daemon.unit is not None and not daemon.unit.endswith(".timer")
    ]
    now = {unit: int(property_of(unit, "NRestarts") or 0) for unit in units}
    if now != before:
        put_private(RESTARTS, json.dumps(now))
    # Each start that systemd does not make by itself sets the number to 0.
    more = {
        unit: number - before.get(unit, 0) if number >= before.get(unit, 0) else number for unit, number in now.items()
    }
    return {unit: number for unit, number in more.items() if number}


def warnings() -> list[str]:
    """What failed since the last look, and what still fails."""
    note()
    with locked(LOCK):
        entries = load()
        found = [
            described(unit, entry) for unit, entry in sorted(entries.items()) if not (entry.is_over and entry.is_shown)
        ]
        save({unit: dataclasses.replace(entry, is_shown=True) for unit, entry in entries.items()})
    return found


def current() -> list[str]:
    """What fails now, whether or not it has been shown; it notes nothing."""
    known = load()
    units = {*failed_units(), *(unit for unit, entry in known.items() if not entry.is_over)}
    return [
        described(unit, known[unit]) if unit in known else f"{unit} failed. See: journalctl --unit {unit}"
        for unit in sorted(units)
    ]


def described(unit: str, entry: Entry) -> str:
    words = "; ".join(" ".join(line.split()) for line in entry.words.splitlines()[-2:])
    times = f", {entry.times} times since {when(entry.since)}" if entry.times > 1 else ""
    over = ", and runs well again" if entry.is_over else ""
    return f"{unit} failed on {when(entry.last)}{times}{over}: {words[-300:]}. See: journalctl --unit {unit}"


def notice(untold: Entries) -> tuple[str, str]:
    """Subject and text."""
    units = sorted(untold)
    more = f" and {len(units) - 3} more units" if len(units) > 3 else ""
    subject = f"{', '.join(units[:3])}{more} failed on {host_name()}"
    parts = [f"{described(unit, untold[unit])}\n\n{untold[unit].words}" for unit in units]
    end = "There is no other mail of a unit before it has run well again. To see all that failed, on the host: systemctl --failed\n"
    return subject, "\n\n".join([*parts, end])


def when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def failed_units() -> list[str]:
    listed = json.loads(run("systemctl", "list-units", "--state=failed", "--output=json"))
    return sorted(unit["unit"] for unit in listed)


def property_of(unit: str, name: str) -> str:
    return run("systemctl", "show", "--property", name, "--value", "--", unit).strip()


def succeeded_since(unit: str, seconds: float) -> bool:
    return succeeds(
        "journalctl", "--quiet", f"--unit={unit}", f"MESSAGE_ID={SUCCESS}", f"--since=@{int(seconds)}", "--grep=."
    )


def words_of(unit: str, invocation: str | None = None) -> str:
    """
    The last words of the run that failed, or of the one before the present; systemd's own where the unit has said nothing.
    """
    journal = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=10")
    queries: list[tuple[str, ...]] = [(f"--unit={unit}", f"--invocation={0 if invocation else -1}")]
    if invocation:
        queries.insert(0, (f"_SYSTEMD_INVOCATION_ID={invocation}",))
    for query in queries:
        with contextlib.suppress(Failure):
            lines = [line for line in run(*journal, *query).splitlines() if not any(words in line for words in UNTOLD)]
            if lines:
                return "\n".join(lines)
    return ""


def load() -> Entries:
    return read(Entries, ENTRIES)


def read(kind: type[dict[str, Kind]], path: pathlib.Path) -> dict[str, Kind]:
    try:
        return parsed(kind, path.read_text(), str(path)) if path.exists() else {}
    except Failure:
        # Damaged: as if nothing had failed yet.
        return {}


def save(entries: Entries) -> None:
    """Without what is over, told and shown, once it no longer counts for the mails of a day."""
    kept = {
        unit: entry
        for unit, entry in entries.items()
        if not (entry.is_over and entry.is_told and entry.is_shown and not entry.mails)
    }
    if kept != load():
        put_private(ENTRIES, json.dumps(kept, default=plain, indent=1))
