"""How much each login may send, counted on the volume so that it outlives restarts and the server."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from protocol import Refused

HOUR, DAY = 3600, 86400
#: A recipient that a login has not written to for so long is new again.
MEMORY = 366 * DAY

TABLES = """
CREATE TABLE IF NOT EXISTS messages (login TEXT, time REAL, recipients INTEGER);
CREATE INDEX IF NOT EXISTS messages_of_login ON messages (login, time);
CREATE TABLE IF NOT EXISTS recipients (login TEXT, address TEXT, first REAL, last REAL, PRIMARY KEY (login, address));
CREATE TABLE IF NOT EXISTS notices (login TEXT PRIMARY KEY, time REAL);
"""


class Limits:
    def __init__(self, path: str, messages_per_hour: int, recipients_per_day: int, new_recipients_per_day: int):
        self.path = path
        self.messages_per_hour = messages_per_hour
        self.recipients_per_day = recipients_per_day
        self.new_recipients_per_day = new_recipients_per_day

    def check(self, login: str, recipients: Sequence[str], count: bool = False) -> None:
        """
        Raises Refused where a message to these recipients would be too much.

        With `count` it is counted where it is not: judged once more, because other sessions of the login may have sent
        since the first time.
        """
        now = time.time()
        to = set(recipients)
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript(TABLES)
            refusal = self.refusal(database, login, to, now)
            with database:
                if refusal is None and count:
                    record(database, login, to, now)
                elif refusal is not None and notice_is_due(database, login, now):
                    tell_postmaster(login, refusal)
        if refusal is not None:
            raise Refused(refusal)

    def refusal(self, database: sqlite3.Connection, login: str, recipients: set[str], now: float) -> str | None:
        def rows(query: str, *values: str | float) -> list[Any]:
            return database.execute(query, (login, *values)).fetchall()

        known = "SELECT 1 FROM recipients WHERE login = ? AND address = ?"
        sent = "SELECT time, {} FROM messages WHERE login = ? AND time > ? ORDER BY time DESC"
        met = "SELECT first, 1 FROM recipients WHERE login = ? AND first > ? ORDER BY first DESC"
        new = sum(not rows(known, address) for address in recipients)
        for limit, what, period, query, more in (
            (self.messages_per_hour, "messages an hour", HOUR, sent.format(1), 1),
            (self.recipients_per_day, "recipients a day", DAY, sent.format("recipients"), len(recipients)),
            (self.new_recipients_per_day, "new recipients a day", DAY, met, new),
        ):
            if more > limit:
                return f"550 5.7.1 the message alone is more than the limit of {limit} {what} for {login}"
            total = more
            for moment, amount in rows(query, now - period) if more else []:
                total += amount
                if total > limit:
                    end = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment + period + 1))
                    return f"451 4.7.1 {login} has reached the limit of {limit} {what}, try again after {end}"
        return None


def record(database: sqlite3.Connection, login: str, recipients: set[str], now: float) -> None:
    database.execute("DELETE FROM messages WHERE time < ?", (now - DAY,))
    database.execute("DELETE FROM recipients WHERE last < ?", (now - MEMORY,))
    database.execute("INSERT INTO messages VALUES (?, ?, ?)", (login, now, len(recipients)))
    database.executemany(
        "INSERT INTO recipients VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
        [(login, address, now, now) for address in recipients],
    )


def notice_is_due(database: sqlite3.Connection, login: str, now: float) -> bool:
    """At most once a day for each login."""
    database.execute("DELETE FROM notices WHERE time < ?", (now - DAY,))
    return database.execute("INSERT OR IGNORE INTO notices VALUES (?, ?)", (login, now)).rowcount == 1


def tell_postmaster(login: str, refusal: str) -> None:
    """Without waiting: the message comes back to OpenSMTPD, which waits for its filter meanwhile."""
    text = (
        f"To: root\nSubject: {login} has reached a limit for sending\n\n"
        f"Its client was told:\n\n    {refusal}\n\n"
        "If this is not its own doing, somebody else has its password: set another one. Tomorrow you are told again.\n"
    )
    try:
        sendmail = subprocess.Popen(["/usr/sbin/sendmail", "root"], stdin=subprocess.PIPE)
        assert sendmail.stdin is not None
        sendmail.stdin.write(text.encode())
        sendmail.stdin.close()
    except OSError as error:
        print(f"the postmaster is not told that {login} has reached a limit: {error}", file=sys.stderr)
