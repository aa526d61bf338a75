"""
Aggregate reports of DMARC, in the forms of RFC 7489 (appendix C) and RFC 9990, and as receivers write them in fact.

What does not change who sent what, and with which result, may be missing; what does must be right.
"""

import dataclasses
import datetime
import ipaddress
import re
import time

from mailhost.reports.refusal import Refused
from mailhost.reports.tree import Element, parsed

#: Rows of a report: of a day at a large receiver.
MOST_ROWS = 20_000
DAY = 86400
#: Days that a report covers: one, and a week at some.
LONGEST = 40
DOMAIN = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Check:
    """DKIM or SPF by itself, whether or not it is about the domain of the header From."""

    domain: str
    #: As RFC 8601 has it, e.g. `pass`, `softfail`.
    result: str


@dataclasses.dataclass(frozen=True)
class Row:
    """Messages that came from one address and had one result."""

    source: str
    messages: int
    #: `none`, `quarantine` or `reject`.
    disposition: str
    #: `pass` or `fail`, each as aligned with the domain.
    dkim: str
    spf: str
    #: Domain of the header From.
    domain: str
    #: Why the receiver did something else than the policy, e.g. `mailing_list`.
    overrides: tuple[str, ...]
    signatures: tuple[Check, ...]
    envelope: tuple[Check, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    id: str
    #: Whose policy was applied.
    domain: str
    #: Seconds since 1970.
    begin: int
    end: int
    rows: tuple[Row, ...]


def read(data: bytes) -> Report:
    """Raises Refused."""
    root = parsed(data)
    if root.name != "feedback":
        raise Refused(f"its XML is a {root.name[:40]}, not a report")
    records = root.all("record")
    if len(records) > MOST_ROWS:
        raise Refused(f"it has {len(records)} rows, more than {MOST_ROWS}")
    dates = root.at("report_metadata", "date_range") or Element("")
    begin, end = (seconds(dates.word(name), name) for name in ("begin", "end"))
    if not 0 <= end - begin <= LONGEST * DAY or end > time.time() + 2 * DAY:
        raise Refused(f"it covers no time that can be: {begin} to {end}")
    policy = domain_of(root.word("policy_published", "domain"), "the domain of its policy")
    return Report(
        id=root.word("report_metadata", "report_id", default=f"{policy} {begin}")[:255],
        domain=policy,
        begin=begin,
        end=end,
        rows=tuple(row_of(record, number, policy) for number, record in enumerate(records, 1)),
    )


def row_of(record: Element, number: int, policy: str) -> Row:
    row = record.at("row") or Element("")
    count = row.word("count")
    if not re.fullmatch(r"[0-9]{1,12}", count, re.ASCII):
        raise Refused(f"row {number}: {count[:40]!r} is not a number of messages")
    evaluated = row.at("policy_evaluated") or Element("")
    dkim, spf = (verdict(evaluated.word(name), number) for name in ("dkim", "spf"))
    # Some write it empty, or `pass`, where nothing was done.
    disposition = evaluated.word("disposition").lower()
    results = record.at("auth_results") or Element("")
    identifiers = record.at("identifiers") or record.at("identities") or Element("")
    return Row(
        source=address(row.word("source_ip"), number),
        messages=int(count),
        disposition=disposition if disposition in ("quarantine", "reject") else "none",
        dkim=dkim,
        spf=spf,
        domain=domain_of(identifiers.word("header_from", default=policy), f"row {number}: its header From"),
        overrides=tuple(sorted({one.word("type").lower()[:40] for one in evaluated.all("reason")} - {""})),
        signatures=checks(results, "dkim"),
        envelope=checks(results, "spf"),
    )


def checks(results: Element, kind: str) -> tuple[Check, ...]:
    """Without those that say nothing: some receivers write one for a message that has none."""
    found = [(one.word("domain").lower().rstrip("."), one.word("result").lower()) for one in results.all(kind)]
    return tuple(Check(domain, result[:20]) for domain, result in found if result and DOMAIN.fullmatch(domain))[:20]


def verdict(text: str, number: int) -> str:
    word = text.lower()
    if word == "pass":
        return word
    # None of them is aligned and valid. The element is missing where the receiver did not check.
    if word in ("", "fail", "none", "neutral", "softfail", "hardfail", "temperror", "permerror", "unknown", "policy"):
        return "fail"
    raise Refused(f"row {number}: {word[:40]!r} is not a result")


def address(text: str, number: int) -> str:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError as error:
        raise Refused(f"row {number}: {text[:60]!r} is not an IP address") from error
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def domain_of(text: str, what: str) -> str:
    """In lower case, in ASCII, without a final dot. Some write the whole address."""
    name = text.strip().rpartition("@")[2].rstrip(".>").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError as error:
            raise Refused(f"{what} is not a domain: {text[:60]!r}") from error
    if not DOMAIN.fullmatch(name):
        raise Refused(f"{what} is not a domain: {text[:60]!r}")
    return name


def seconds(text: str, what: str) -> int:
    """Since 1970: as the standard has it, with a fraction, in milliseconds, or as a date in ISO form."""
    if re.fullmatch(r"[0-9]{1,13}(?:\.[0-9]{1,9})?", text, re.ASCII):
        number = float(text)
        return int(number / 1000 if number > 1e11 else number)
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"the {what} of its time is not a time: {text[:40]!r}") from error
    return int((date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).timestamp())
