"""Takes over what the reader made of reports: sums for the figures, and the reports themselves for some days."""

import contextlib
import json
import os
import pathlib
import stat
import time
from collections.abc import Iterator, Set

from mailhost import resolver
from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.figures import store
from mailhost.files import put_private
from mailhost.reports.aggregate import Row
from mailhost.reports.message import Result, is_below
from mailhost.reports.reader import DOMAINS, HOME
from mailhost.specs import PROBE
from mailhost.system import host_name
from mailhost.transaction import STATE

FOLDER = STATE / "reports"
#: Octets of a document. The reader, which handles what strangers send, wrote it.
LARGEST = 16 << 20
#: Reports and octets that are kept, the newest.
MOST, MOST_OCTETS = 1000, 50 << 20
DAY = 86400
#: Seconds that a report is kept after it arrived.
MEMORY = 14 * DAY
#: Why a receiver did something else than the policy, where the message had been passed on (RFC 7489, appendix C).
FORWARDED = {"forwarded", "mailing_list", "trusted_forwarder", "local_policy"}


def take() -> None:
    """Adds the new reports to the figures."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    own = own_addresses()
    domains = frozenset(DOMAINS.read_text().split()) - {PROBE.domain}
    for path in sorted((HOME / "read").glob("*.json")):
        try:
            result = document(path)
        except Failure as failure:
            print(f"{path.name} is refused: {failure}")
        else:
            with store.opened() as figures:
                figures.add_report(f"{result.reporter} {path.stem}", rows(result, own, domains))
            put_private(FOLDER / path.name, json.dumps(result, default=plain))
        path.unlink()
    forget()


def document(path: pathlib.Path) -> Result:
    """Raises Failure for one that is not a file with a result."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
                raise Failure("it is not a file of a result")
            return parsed(Result, file.read().decode(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(str(error)) from error


def rows(result: Result, own: Set[str], domains: Set[str]) -> Iterator[store.DmarcRow | store.TlsRow]:
    """What the figures keep: classes of senders, and no addresses."""
    if result.dmarc:
        for row in result.dmarc.rows:
            domain = domain_of(row.domain, domains)
            source = source_of(row, own, domain)
            yield store.DmarcRow(
                result.dmarc.begin, domain, result.reporter, source, row.disposition, row.dkim, row.spf, row.messages
            )
    if result.tls:
        for policy in result.tls.policies:
            about = (result.tls.begin, domain_of(policy.domain, domains), result.reporter, policy.kind)
            explained = 0
            for failure in policy.failures:
                explained += failure.sessions
                yield store.TlsRow(*about, failure.result, failure.sessions)
            if policy.failed > explained:
                yield store.TlsRow(*about, "unknown", policy.failed - explained)
            yield store.TlsRow(*about, "success", policy.successful)


def domain_of(name: str, domains: Set[str]) -> str:
    """The host's domain that the name is, or lies in: strangers make up names."""
    return max((domain for domain in domains if is_below(name, domain)), key=len, default=name)


def source_of(row: Row, own: Set[str], domain: str) -> str:
    """`own` for this host; `forwarder` for a system that passed on what the domain had signed, as mailing lists do; `other`."""
    if row.source in own:
        return "own"
    is_forwarded = FORWARDED & {*row.overrides} or any(is_below(one.domain, domain) for one in row.signatures)
    return "forwarder" if is_forwarded else "other"


def own_addresses() -> frozenset[str]:
    return frozenset(address for kind in ("A", "AAAA") for address in resolver.records(host_name(), kind))


def recent(days: int) -> Iterator[Result]:
    """The reports that arrived in the last days."""
    for path in sorted(FOLDER.glob("*.json")):
        if time.time() - path.stat().st_mtime < days * DAY:
            # Another version wrote it.
            with contextlib.suppress(Failure):
                yield parsed(Result, path.read_text(), str(path))


def forget() -> None:
    octets = 0
    newest_first = sorted(FOLDER.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for number, path in enumerate(newest_first):
        about = path.stat()
        octets += about.st_size
        if number >= MOST or octets > MOST_OCTETS or time.time() - about.st_mtime > MEMORY:
            path.unlink()
