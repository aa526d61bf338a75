"""What the reports of the last days say is wrong."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Set

from mailhost.reports import kept
from mailhost.reports.aggregate import Row

#: Receivers report once a day; a cause that was removed is no finding three days later.
DAYS = 3
#: Messages of a sender that is not known, below which it may be anything.
ENOUGH = 10
#: Share of the sessions that fail, from which on it is not the other side's connection.
SHARE = 0.01


@dataclasses.dataclass
class Sum:
    messages: int = 0
    places: set[str] = dataclasses.field(default_factory=set)
    reporters: set[str] = dataclasses.field(default_factory=set)
    reasons: set[str] = dataclasses.field(default_factory=set)


def own_failures() -> Iterator[str]:
    """Mail of this host that receivers found forged."""
    sums: dict[str, Sum] = collections.defaultdict(Sum)
    own = kept.own_addresses()
    for reporter, row in failed_rows():
        if row.source in own:
            add(sums[row.domain], reporter, row, row.source)
    for domain, found in sorted(sums.items()):
        yield f"{domain}: {found.messages} messages of this host failed at {listed(found.reporters)}: {listed(found.reasons)}"


def unknown_senders() -> Iterator[str]:
    """
    Systems that send in the name of a domain, and prove to be somebody: a service that has not been set up for it.

    What proves nothing is forged, as for every domain: the policy is for that.
    """
    sums: dict[tuple[str, str], Sum] = collections.defaultdict(Sum)
    own = kept.own_addresses()
    for reporter, row in failed_rows():
        valid = sorted({check.domain for check in (*row.signatures, *row.envelope) if check.result == "pass"})
        if valid and kept.source_of(row, own, row.domain) == "other":
            add(sums[row.domain, listed(valid)], reporter, row, row.source)
    for (domain, sender), found in sorted(sums.items()):
        if found.messages >= ENOUGH:
            yield (
                f"{domain}: {found.messages} messages of {sender} (at {listed(found.places)}), "
                f"reported by {listed(found.reporters)}: {listed(found.reasons)}"
            )


def tls_failures() -> Iterator[str]:
    """Sessions of other mail systems that had no TLS, or not the one that the policy demands."""
    sums: dict[tuple[str, str, str], Sum] = collections.defaultdict(Sum)
    sessions: dict[tuple[str, str], int] = collections.defaultdict(int)
    for result in kept.recent(DAYS):
        for policy in result.tls.policies if result.tls else ():
            sessions[policy.domain, policy.kind] += policy.successful + policy.failed
            explained = [(one.result, one.sessions, one.host, one.reason) for one in policy.failures]
            rest = policy.failed - sum(number for _, number, _, _ in explained)
            for kind, number, host, reason in [*explained, *([("unknown", rest, "", "")] if rest > 0 else [])]:
                found = sums[policy.domain, policy.kind, kind]
                found.messages += number
                found.reporters.add(result.reporter)
                found.places |= {host} - {""}
                found.reasons |= {reason} - {""}
    for (domain, kind, failure), found in sorted(sums.items()):
        total = max(sessions[domain, kind], found.messages)
        if found.messages and found.messages / total >= SHARE:
            why = f" ({listed(found.reasons)})" if found.reasons else ""
            at = f" at {listed(found.places)}" if found.places else ""
            yield (
                f"{domain}, policy {kind}: {failure}{why}{at} in {found.messages} of {total} sessions, "
                f"reported by {listed(found.reporters)}"
            )


def failed_rows() -> Iterator[tuple[str, Row]]:
    for result in kept.recent(DAYS):
        for row in result.dmarc.rows if result.dmarc else ():
            if row.dkim == row.spf == "fail" and row.messages:
                yield result.reporter, row


def add(found: Sum, reporter: str, row: Row, place: str) -> None:
    found.messages += row.messages
    found.places.add(place)
    found.reporters.add(reporter)
    found.reasons.add(why(row))


def why(row: Row) -> str:
    """E.g. `DKIM pass of other.example, SPF softfail of bounces.example`."""
    signatures = {f"{check.result} of {check.domain}" for check in row.signatures}
    envelope = {f"{check.result} of {check.domain}" for check in row.envelope}
    return f"DKIM {listed(signatures) or 'none'}, SPF {listed(envelope) or 'none'}"


def listed(names: Iterable[str] | Set[str], most: int = 4) -> str:
    some = sorted(names)
    return ", ".join(some[:most]) + (" …" if some[most:] else "")
