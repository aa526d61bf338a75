"""
What is known of DKIM keys: which were out since when, and which signed.

It lies on the volume, so that a new server has it.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

from mailhost.documents import parsed, plain
from mailhost.files import File, put

EVIDENCE = pathlib.Path("/srv/mailhost/dkim.json")


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a key. Times are seconds of the epoch."""

    #: Its fingerprint.
    key: str | None = None
    #: Since when all name servers answer with it.
    visible: int | None = None
    #: From when until when it signed.
    begun: int | None = dataclasses.field(metadata={"key": "from"}, default=None)
    until: int | None = None
    #: For how long its signatures hold, and the longest that they ever did.
    retention: int | None = None
    longest: int | None = None
    #: Until when those hold that there are.
    keep: int | None = None


#: By domain and selector.
Evidence = dict[str, dict[str, Entry]]


def load() -> Evidence:
    """Times that are still to come were noted by a clock that was ahead, as one can be that no time server has set yet."""
    evidence = noted()
    for selectors in evidence.values():
        for selector, entry in selectors.items():
            selectors[selector] = dataclasses.replace(
                entry,
                visible=at_most(entry.visible, now() + 1),
                begun=at_most(entry.begun, now()),
                until=at_most(entry.until, now()),
                keep=entry.keep if entry.longest is None else at_most(entry.keep, now() + entry.longest),
            )
    return evidence


def at_most(noted: int | None, latest: int) -> int | None:
    return None if noted is None else min(noted, latest)


def noted() -> Evidence:
    return parsed(Evidence, EVIDENCE.read_text(), str(EVIDENCE)) if EVIDENCE.exists() else {}


def save(evidence: Evidence) -> None:
    if evidence == noted():
        return
    text = f"{json.dumps(evidence, default=plain, indent=1, sort_keys=True)}\n"
    put(str(EVIDENCE), File("0644", "root:root", text))


def note(evidence: Evidence, domain: str, selector: str, **changes: Any) -> None:
    selectors = evidence.setdefault(domain, {})
    selectors[selector] = dataclasses.replace(selectors.get(selector, Entry()), **changes)


def now() -> int:
    return int(time.time())


def begin(evidence: Evidence, domain: str, selector: str) -> None:
    if selector not in signers(evidence.get(domain, {})):
        note(evidence, domain, selector, begun=now(), until=None)


def signers(selectors: dict[str, Entry]) -> set[str]:
    """Those whose keys may sign now: two, after a switch that was cut off."""
    return {selector for selector, entry in selectors.items() if entry.begun is not None and entry.until is None}
