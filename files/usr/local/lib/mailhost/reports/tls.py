"""TLS reports (RFC 8460): how often other mail systems could send to the host's domains by TLS, and why not."""

import dataclasses
import json
from typing import Any

from mailhost.reports.aggregate import DAY, LONGEST, domain_of, seconds
from mailhost.reports.refusal import Refused

#: Policies of a report, and kinds of failure of one.
MOST = 1000


@dataclasses.dataclass(frozen=True)
class Failed:
    #: As in section 4.3, e.g. `certificate-expired`.
    result: str
    sessions: int
    #: Name of the mail exchanger that it was at; empty if the report does not say.
    host: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Policy:
    domain: str
    #: `sts`, `tlsa` or `no-policy-found`.
    kind: str
    successful: int
    failed: int
    #: The sessions of these may be fewer than those that failed: a report need not explain all.
    failures: tuple[Failed, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    id: str
    #: Seconds since 1970.
    begin: int
    end: int
    policies: tuple[Policy, ...]


def read(data: bytes) -> Report:
    """Raises Refused."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(f"its JSON is damaged: {error}") from error
    root = of(dict, document, "the report")
    dates = of(dict, root.get("date-range"), "date-range")
    begin, end = (seconds(text(dates.get(f"{name}-datetime")), name) for name in ("start", "end"))
    if not 0 <= end - begin <= LONGEST * DAY:
        raise Refused(f"it covers no time that can be: {begin} to {end}")
    policies = of(list, root.get("policies"), "policies")
    if len(policies) > MOST:
        raise Refused(f"it has {len(policies)} policies, more than {MOST}")
    read_ones = tuple(policy_of(of(dict, one, "a policy")) for one in policies)
    first = read_ones[0].domain if read_ones else "no domain"
    return Report(text(root.get("report-id"))[:255] or f"{first} {begin}", begin, end, read_ones)


def policy_of(document: dict[str, Any]) -> Policy:
    about = of(dict, document.get("policy"), "policy")
    summary = of(dict, document.get("summary"), "summary")
    details = of(list, document.get("failure-details") or [], "failure-details")
    if len(details) > MOST:
        raise Refused(f"it has {len(details)} kinds of failure, more than {MOST}")
    kind = text(about.get("policy-type")).lower()
    return Policy(
        domain=domain_of(text(about.get("policy-domain")), "the domain of a policy"),
        kind=kind if kind in ("sts", "tlsa") else "no-policy-found",
        successful=number(summary.get("total-successful-session-count")),
        failed=number(summary.get("total-failure-session-count")),
        failures=tuple(failed(of(dict, one, "a failure")) for one in details),
    )


def failed(document: dict[str, Any]) -> Failed:
    return Failed(
        result=text(document.get("result-type")).lower()[:40] or "unknown",
        sessions=number(document.get("failed-session-count")),
        host=text(document.get("receiving-mx-hostname"))[:255],
        reason=text(document.get("failure-reason-code"))[:200],
    )


def of(kind: type[Any], value: object, what: str) -> Any:
    if not isinstance(value, kind):
        raise Refused(f"{what} is not a JSON {'object' if kind is dict else 'array'}")
    return value


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def number(value: object) -> int:
    """Some write it as a string; it is missing where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**12:
        raise Refused(f"{str(value)[:40]!r} is not a number of sessions")
    return value
