"""
The figures on the volume, in one SQLite database of a few MB a year.

Rows are by hour, counted from 1970 in UTC, or by day. Hours become days after DETAIL, and days become one row after
MEMORY, so that sums over all rows only grow. Domains and accounts are the host's own; other names are those of
organisations that report about its domains.
"""

import contextlib
import dataclasses
import hashlib
import math
import pathlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping

from mailhost.failure import Failure

PATH = pathlib.Path("/srv/mailhost/figures/figures.sqlite")
HOUR, DAY = 3600, 86400
#: Days with a row for each hour, and days with a row for each day.
DETAIL, MEMORY = 35, 400
#: Buckets of durations for each factor of ten, from 10 ms on: a quantile is right within 16 %.
STEPS, SHORTEST = 16, 0.01

SCHEMA = """
CREATE TABLE mail (hour INTEGER, domain TEXT, outcome TEXT, number INTEGER, PRIMARY KEY (hour, domain, outcome))
  WITHOUT ROWID, STRICT;
CREATE TABLE logins (hour INTEGER, service TEXT, outcome TEXT, number INTEGER, PRIMARY KEY (hour, service, outcome))
  WITHOUT ROWID, STRICT;
CREATE TABLE durations (hour INTEGER, what TEXT, bucket INTEGER, number INTEGER, seconds REAL,
  PRIMARY KEY (hour, what, bucket)) WITHOUT ROWID, STRICT;
CREATE TABLE queue (hour INTEGER PRIMARY KEY, most INTEGER, oldest INTEGER) STRICT;
CREATE TABLE storage (day INTEGER, account TEXT, octets INTEGER, messages INTEGER, PRIMARY KEY (day, account))
  WITHOUT ROWID, STRICT;
CREATE TABLE dmarc (day INTEGER, domain TEXT, reporter TEXT, source TEXT, disposition TEXT, dkim TEXT, spf TEXT,
  messages INTEGER, PRIMARY KEY (day, domain, reporter, source, disposition, dkim, spf)) WITHOUT ROWID, STRICT;
CREATE TABLE tls (day INTEGER, domain TEXT, reporter TEXT, policy TEXT, result TEXT, sessions INTEGER,
  PRIMARY KEY (day, domain, reporter, policy, result)) WITHOUT ROWID, STRICT;
CREATE TABLE reports (id BLOB PRIMARY KEY, day INTEGER) WITHOUT ROWID, STRICT;
CREATE TABLE open_messages (id INTEGER PRIMARY KEY, time REAL, source TEXT, is_junk INTEGER, is_linked INTEGER) STRICT;
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID, STRICT;
PRAGMA user_version = 1;
"""


@dataclasses.dataclass(frozen=True)
class DmarcRow:
    """Messages of one day that an organisation judged alike (RFC 7489, appendix C)."""

    #: Begin of the reported time, in seconds since 1970.
    time: int
    #: Of the header From: one of the host's domains.
    domain: str
    #: Domain or name of the organisation that reports.
    reporter: str
    #: Class of the sending host, never its address: `own`, `forwarder`, `other`, ….
    source: str
    #: `none`, `quarantine` or `reject`.
    disposition: str
    #: `pass` or `fail`, each as aligned with the domain.
    dkim: str
    spf: str
    messages: int


@dataclasses.dataclass(frozen=True)
class TlsRow:
    """Sessions of one day with one result (RFC 8460, section 4)."""

    time: int
    domain: str
    reporter: str
    #: `sts`, `tlsa` or `no-policy-found`.
    policy: str
    #: `success`, or the result type of a failure, such as `certificate-expired`.
    result: str
    sessions: int


class Store:
    """One transaction; see `opened`."""

    def __init__(self, database: sqlite3.Connection):
        self.database = database

    def count_mail(self, at: float, domain: str, outcome: str, number: int = 1) -> None:
        """Counts recipients of one of the host's domains, `""` where there is none; docs/report.md has the outcomes."""
        self._add("mail", (int(at // HOUR), domain, outcome), (number,))

    def count_login(self, at: float, service: str, outcome: str) -> None:
        self._add("logins", (int(at // HOUR), service, outcome), (1,))

    def add_duration(self, at: float, what: str, seconds: float) -> None:
        """`what` is `in` or `out`, from the arrival of a message here to its delivery, or `scan`."""
        self._add("durations", (int(at // HOUR), what, bucket_of(seconds)), (1, seconds))

    def note_queue(self, at: float, envelopes: int, oldest: float) -> None:
        """Keeps the worst of each hour; `oldest` is the age of an envelope in seconds."""
        self.database.execute(
            "INSERT INTO queue VALUES (?, ?, ?) ON CONFLICT (hour) "
            "DO UPDATE SET most = max(most, excluded.most), oldest = max(oldest, excluded.oldest)",
            (int(at // HOUR), envelopes, int(oldest)),
        )

    def note_storage(self, at: float, account: str, octets: int, messages: int) -> None:
        """Keeps the last of each day."""
        self.database.execute(
            "INSERT OR REPLACE INTO storage VALUES (?, ?, ?, ?)", (int(at // DAY), account, octets, messages)
        )

    def add_report(self, key: str, rows: Iterable[DmarcRow | TlsRow]) -> bool:
        """
        Adds what one report says, once.

        `key` names the report among all, such as its organisation, its domain and its id. Gives False, and adds nothing,
        if a report of that key was added before.
        """
        digest = hashlib.sha256(key.encode()).digest()[:12]
        today = int(time.time() // DAY)
        if not self.database.execute("INSERT OR IGNORE INTO reports VALUES (?, ?)", (digest, today)).rowcount:
            return False
        for row in rows:
            at, *words, number = dataclasses.astuple(row)
            table = "dmarc" if isinstance(row, DmarcRow) else "tls"
            self._add(table, (int(at // DAY), *words), (number,))
        return True

    def _add(self, table: str, key: tuple[int | str, ...], numbers: tuple[float, ...]) -> None:
        marks = ", ".join("?" * (len(key) + len(numbers)))
        self.database.execute(f"INSERT INTO {table} VALUES ({marks}) {ADD[table]}", (*key, *numbers))

    def get(self, name: str) -> str | None:
        found = self.database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return found and str(found[0])

    def set(self, name: str, value: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def condense(self, now: float) -> None:
        """Makes days of old hours, and one row of old days."""
        today = int(now // DAY)
        for table in ("mail", "logins", "durations"):
            keys, sums = KEYS[table][1:], ", ".join(f"sum({name})" for name in SUMS[table])
            for place, old in (
                ("hour / 24 * 24", f"hour < {(today - DETAIL) * 24} AND hour % 24 != 0"),
                ("0", f"hour < {(today - MEMORY) * 24} AND hour != 0"),
            ):
                self.database.execute(
                    f"INSERT INTO {table} SELECT {place}, {', '.join(keys)}, {sums} FROM {table} WHERE {old} "
                    f"GROUP BY 1, {', '.join(keys)} {ADD[table]}"
                )
                self.database.execute(f"DELETE FROM {table} WHERE {old}")
        for name in ("storage", "dmarc", "tls", "reports"):
            self.database.execute(f"DELETE FROM {name} WHERE day < ?", (today - MEMORY,))
        self.database.execute("DELETE FROM queue WHERE hour < ?", ((today - MEMORY) * 24,))


#: Columns of the tables whose rows add up, and the sums in them.
KEYS = {
    "mail": ("hour", "domain", "outcome"),
    "logins": ("hour", "service", "outcome"),
    "durations": ("hour", "what", "bucket"),
    "dmarc": ("day", "domain", "reporter", "source", "disposition", "dkim", "spf"),
    "tls": ("day", "domain", "reporter", "policy", "result"),
}
SUMS = {"mail": ("number",), "logins": ("number",), "durations": ("number", "seconds"), "dmarc": ("messages",), "tls": ("sessions",)}  # fmt: skip
ADD = {
    table: f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS[table])
    for table, keys in KEYS.items()
}


def bucket_of(seconds: float) -> int:
    return max(0, math.ceil(STEPS * math.log10(max(seconds, SHORTEST) / SHORTEST)))


def longest_of(bucket: int) -> float:
    """Seconds: the longest duration in a bucket."""
    return float(SHORTEST * 10 ** (bucket / STEPS))


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Seconds that this share of the durations did not exceed, e.g. 0.5; None without any."""
    rest = share * sum(buckets.values())
    for bucket in sorted(buckets):
        rest -= buckets[bucket]
        if rest <= 0:
            return longest_of(bucket)
    return None


@contextlib.contextmanager
def opened(path: pathlib.Path | None = None) -> Iterator[Store]:
    """
    The store in one transaction, which an error takes back; another process waits for its end. Made where there is none.

    The folder is made by systemd-tmpfiles (files/etc/tmpfiles.d/mailhost.conf). Raises Failure if the database cannot be used.
    """
    place = path or PATH
    try:
        with contextlib.closing(sqlite3.connect(place, timeout=60, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                if not database.execute("PRAGMA user_version").fetchone()[0]:
                    for statement in filter(str.strip, SCHEMA.split(";")):
                        database.execute(statement)
                yield Store(database)
    except sqlite3.Error as error:
        raise Failure(f"{place}: {error}") from error
