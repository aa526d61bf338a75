"""What changed on the host since yesterday, by mail to the postmaster: nothing where nothing did."""

import collections
import json
import re
from collections.abc import Iterable

from mailhost import check, dkim, doctor
from mailhost.doctor import Finding
from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.files import put_private
from mailhost.notices import notify_postmaster
from mailhost.system import HOST_LOCK, host_name, locked
from mailhost.transaction import STATE

FOUND = STATE / "daily.json"
Findings = tuple[Finding, ...]


def report() -> None:
    """Notes what is wrong now only when the postmaster has been told, so that a mail which fails is tried again tomorrow."""
    # A push ends first.
    with locked(HOST_LOCK):
        pass
    before, now = load(), tuple(doctor.examine(planned()))
    new, gone = without(now, before), without(before, now)
    if new or gone:
        notify_postmaster(*notice(new, gone, lasting=without(now, new)))
    if now != before:
        put_private(FOUND, json.dumps(now, default=plain, indent=1))


def planned() -> check.Mail:
    """What is to work, from the files that were pushed."""
    domains = dkim.live()[0].domains
    return check.Mail(host_name(), tuple(check.Domain(name, domain.signs) for name, domain in domains.items()))


def load() -> Findings:
    try:
        return parsed(Findings, FOUND.read_text(), str(FOUND)) if FOUND.exists() else ()
    except Failure:
        # Damaged: all is told again.
        return ()


def without(some: Iterable[Finding], others: Iterable[Finding]) -> Findings:
    """Those that are not among the others, whatever the numbers in them are: an age and a share change each day."""
    known = collections.Counter(key(finding) for finding in others)
    found = []
    for finding in some:
        if known[key(finding)] > 0:
            known[key(finding)] -= 1
        else:
            found.append(finding)
    return tuple(found)


def key(finding: Finding) -> tuple[str, str]:
    return finding.code, re.sub(r"\d+(?:[.,:-]\d+)*", "#", finding.evidence)


def notice(new: Findings, gone: Findings, lasting: Findings) -> tuple[str, str]:
    """Subject and text."""
    counts = [f"{len(some)} {word}" for some, word in ((new, "new"), (gone, "gone")) if some]
    parts = [
        "\n".join([title, "", *(f"- {finding.code}: {finding.evidence}" for finding in some)])
        for some, title in ((new, "New since yesterday"), (gone, "No longer found"), (lasting, "Still found"))
        if some
    ]
    end = "docs/runbook.md has a section for each code. To look now: npx mailhost doctor\n"
    return f"{host_name()}: findings: {', '.join(counts)}", "\n\n".join([*parts, end])
