"""What `mailhost report` of the operator shows: the figures as series of days and hours."""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import time
from collections.abc import Iterator

from mailhost import backup, certificates, dkim_evidence, tlsa
from mailhost.documents import parsed
from mailhost.figures import store
from mailhost.system import host_name

#: How far back it goes, today included.
DAYS, HOURS = 366, 14 * 24
#: Days of what others report.
REPORTED = 90
POLICY = pathlib.Path("/usr/local/share/mailhost/web/.well-known/mta-sts.txt")


@dataclasses.dataclass(frozen=True)
class Series:
    """A number for each hour or day, the oldest first."""

    #: Domain, or service.
    name: str
    outcome: str
    numbers: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Durations:
    """Milliseconds for each hour or day; 0 where there was nothing."""

    #: `in`, `out` or `scan`.
    what: str
    median: tuple[int, ...]
    #: 95 % took no longer.
    most: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Span:
    """The figures of equal spans of time."""

    #: Begin of the first one, in seconds since 1970.
    begin: int
    #: Seconds of each.
    step: int
    mail: tuple[Series, ...]
    logins: tuple[Series, ...]
    durations: tuple[Durations, ...]
    #: Envelopes, at the worst moment.
    queue: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Account:
    name: str
    octets: int
    messages: int
    #: A month before; 0 if it is newer.
    before: int


@dataclasses.dataclass(frozen=True)
class Date:
    what: str
    #: Whose.
    about: str
    #: Seconds since 1970.
    time: int


@dataclasses.dataclass(frozen=True)
class Dmarc:
    domain: str
    reporter: str
    source: str
    disposition: str
    dkim: str
    spf: str
    messages: int


@dataclasses.dataclass(frozen=True)
class Tls:
    domain: str
    reporter: str
    policy: str
    result: str
    sessions: int


@dataclasses.dataclass(frozen=True)
class Summary:
    #: When the timer collected last; 0 if it never did.
    collected: int
    days: Span
    hours: Span
    #: Octets of all accounts for each of `days`.
    storage: tuple[int, ...]
    accounts: tuple[Account, ...]
    dmarc: tuple[Dmarc, ...]
    tls: tuple[Tls, ...]
    calendar: tuple[Date, ...]


def summarize(now: float) -> Summary:
    today, hour = int(now // store.DAY), int(now // store.HOUR)
    with store.opened() as figures:
        read = figures.database.execute
        since = today - REPORTED
        return Summary(
            collected=int(figures.get("collect.time") or 0),
            days=span(figures, (today - DAYS + 1) * 24, 24, DAYS),
            hours=span(figures, hour - HOURS + 1, 1, HOURS),
            storage=numbers(
                read("SELECT day, sum(octets) FROM storage WHERE day > ? GROUP BY 1", (today - DAYS,)),
                today - DAYS + 1,
                DAYS,
            ),
            accounts=tuple(
                Account(*row)
                for row in read(
                    "SELECT now.account, now.octets, now.messages, coalesce((SELECT octets FROM storage AS past WHERE "
                    "past.account = now.account AND past.day <= ? ORDER BY past.day DESC LIMIT 1), 0) FROM storage AS now "
                    "WHERE now.day = (SELECT max(day) FROM storage) ORDER BY 2 DESC, 1",
                    (today - 30,),
                )
            ),
            dmarc=tuple(
                Dmarc(*row)
                for row in read(
                    "SELECT domain, reporter, source, disposition, dkim, spf, sum(messages) FROM dmarc WHERE day > ? "
                    "GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 7 DESC",
                    (since,),
                )
            ),
            tls=tuple(
                Tls(*row)
                for row in read(
                    "SELECT domain, reporter, policy, result, sum(sessions) FROM tls WHERE day > ? "
                    "GROUP BY 1, 2, 3, 4 ORDER BY 1, 5 DESC",
                    (since,),
                )
            ),
            calendar=tuple(sorted(dates(), key=lambda date: (date.time, date.what, date.about))),
        )


def span(figures: store.Store, first: int, step: int, count: int) -> Span:
    """`first` and `step` are in hours."""
    read = figures.database.execute
    place = f"(hour - {first}) / {step}"
    where = f"WHERE hour BETWEEN {first} AND {first + step * count - 1}"

    def series(table: str, name: str) -> tuple[Series, ...]:
        found: dict[tuple[str, str], list[int]] = {}
        rows = read(f"SELECT {name}, outcome, {place}, sum(number) FROM {table} {where} GROUP BY 1, 2, 3")
        for named, outcome, at, number in rows:
            found.setdefault((named, outcome), [0] * count)[at] = number
        return tuple(Series(*key, tuple(values)) for key, values in sorted(found.items()))

    buckets: dict[str, dict[int, dict[int, int]]] = {}
    for what, at, bucket, number in read(
        f"SELECT what, {place}, bucket, sum(number) FROM durations {where} GROUP BY 1, 2, 3"
    ):
        buckets.setdefault(what, {}).setdefault(at, {})[bucket] = number

    def quantiles(spans: dict[int, dict[int, int]], share: float) -> tuple[int, ...]:
        return tuple(int(1000 * (store.quantile(spans.get(at, {}), share) or 0)) for at in range(count))

    return Span(
        begin=first * store.HOUR,
        step=step * store.HOUR,
        mail=series("mail", "domain"),
        logins=series("logins", "service"),
        durations=tuple(
            Durations(what, quantiles(spans, 0.5), quantiles(spans, 0.95)) for what, spans in sorted(buckets.items())
        ),
        queue=numbers(read(f"SELECT {place}, max(most) FROM queue {where} GROUP BY 1"), 0, count),
    )


def numbers(rows: "Iterator[tuple[int, int]]", first: int, count: int) -> tuple[int, ...]:
    found = dict(rows)
    return tuple(found.get(first + at, 0) for at in range(count))


def dates() -> Iterator[Date]:
    for path in [certificates.CHAIN, *sorted(map(str, pathlib.Path(certificates.FOLDER).glob("*/fullchain.pem")))]:
        if os.path.exists(path) and path != certificates.OWN_CHAIN:
            name = host_name() if path == certificates.CHAIN else pathlib.Path(path).parent.name
            yield Date("certificate ends", name, int(certificates.end_of(pathlib.Path(path).read_text()).timestamp()))
    for domain, selectors in dkim_evidence.load().items():
        for selector, entry in selectors.items():
            name = f"{selector}._domainkey.{domain}"
            for what, at in (
                ("DKIM key is published since", entry.visible),
                ("DKIM key signs since", entry.begun),
                ("DKIM key signed until", entry.until),
            ):
                if at:
                    yield Date(what, name, at)
            if entry.until and entry.keep:
                yield Date("DKIM key may be removed from", name, entry.keep)
    if tlsa.EVIDENCE.exists():
        for record, at in parsed(dict[str, int], tlsa.EVIDENCE.read_text(), str(tlsa.EVIDENCE)).items():
            yield Date("TLSA record is published since", f"{record[:14]}…", at)
    if POLICY.exists():
        mode = next((line.split()[1] for line in POLICY.read_text().splitlines() if line.startswith("mode:")), "?")
        yield Date(f"MTA-STS policy has mode {mode} since", "all domains", int(POLICY.stat().st_mtime))
    last = last_backup()
    if last:
        yield Date("last backup", "volume", int(last))


def last_backup() -> float | None:
    with contextlib.suppress(OSError):
        last = backup.state().last
        return datetime.datetime.fromisoformat(last).timestamp() if last else None
    return None


def today() -> Summary:
    return summarize(time.time())
