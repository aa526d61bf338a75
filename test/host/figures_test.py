"""The figures on the volume."""

import pathlib
import random
import unittest

from mailhost.failure import Failure
from mailhost.figures import store
from on_host import OnHost

NOW = 1_900_000_000


class Figures(OnHost):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "figures.sqlite"

    def rows(self, query):
        with store.opened(self.path) as figures:
            return figures.database.execute(query).fetchall()

    def test_adds_up_within_an_hour_and_keeps_what_fails_out(self):
        with store.opened(self.path) as figures:
            for second in (0, 1):
                figures.count_mail(NOW + second, "example.org", "in")
                figures.note_queue(NOW, 3 - second, second)
        with self.assertRaises(ZeroDivisionError), store.opened(self.path) as figures:
            figures.count_mail(NOW, "example.org", "in")
            raise ZeroDivisionError
        self.assertEqual(self.rows("SELECT * FROM mail"), [(NOW // 3600, "example.org", "in", 2)])
        self.assertEqual(self.rows("SELECT * FROM queue"), [(NOW // 3600, 3, 1)])

    def test_tells_of_a_database_that_cannot_be_used(self):
        self.path.write_text("no database " * 100)
        with self.assertRaisesRegex(Failure, "figures.sqlite: file is not a database"), store.opened(self.path):
            pass

    def test_takes_a_report_once(self):
        rows = [
            store.DmarcRow(NOW, "example.org", "receiver.example", "own", "none", "pass", "pass", 3),
            store.DmarcRow(NOW, "example.org", "receiver.example", "own", "none", "pass", "pass", 4),
            store.TlsRow(NOW, "example.org", "receiver.example", "sts", "success", 9),
        ]
        for taken in (True, False):
            with store.opened(self.path) as figures:
                self.assertEqual(figures.add_report("receiver.example 1", rows), taken)
        self.assertEqual(
            self.rows("SELECT * FROM dmarc"),
            [(NOW // 86400, "example.org", "receiver.example", "own", "none", "pass", "pass", 7)],
        )
        self.assertEqual(self.rows("SELECT domain, sessions FROM tls"), [("example.org", 9)])

    def test_has_the_quantiles_of_durations_within_a_sixth(self):
        seconds = [0.001, *(random.Random(1).lognormvariate(1, 2) for _ in range(999))]
        buckets = {}
        for duration in seconds:
            buckets[store.bucket_of(duration)] = buckets.get(store.bucket_of(duration), 0) + 1
        for share in (0.5, 0.95):
            exact = sorted(seconds)[int(share * 1000) - 1]
            self.assertTrue(exact <= store.quantile(buckets, share) <= exact * 1.16)
        self.assertIsNone(store.quantile({}, 0.5))

    def test_makes_days_of_hours_and_keeps_all_sums(self):
        with store.opened(self.path) as figures:
            for day in range(500):
                for hour in (0, 5, 23):
                    at = NOW - NOW % 86400 - day * 86400 + hour * 3600
                    figures.count_mail(at, "example.org", "in")
                    figures.add_duration(at, "in", 2)
                figures.note_storage(at, "anna@example.org", day, 1)
            for _ in range(2):
                figures.condense(NOW)
        for table in ("mail", "durations"):
            self.assertEqual(self.rows(f"SELECT sum(number) FROM {table}"), [(1500,)])
            old = self.rows(f"SELECT count(*), min(number), max(number) FROM {table} WHERE hour % 24 = 0 AND hour > 0")
            # The first hour of each day that still has all of them, and the days before.
            self.assertEqual(old, [(401, 1, 3)])
            self.assertEqual(self.rows(f"SELECT number FROM {table} WHERE hour = 0"), [(3 * 99,)])
        self.assertEqual(self.rows("SELECT count(*) FROM storage"), [(401,)])

    def test_is_below_20_MB_after_a_year_of_a_busy_host(self):
        make_year(self.path, NOW)
        self.assertLess(self.path.stat().st_size, 20_000_000)


def make_year(path: pathlib.Path, now: int, domains: int = 10, accounts: int = 50) -> None:
    """Twelve months of a host with something of each kind in each hour."""
    chance = random.Random(0)
    names = [f"domain-{number}.example" for number in range(domains)]
    with store.opened(path) as figures:
        insert = figures.database.executemany
        for day in range(now // 86400 - 365, now // 86400 + 1):
            hours = range(day * 24, day * 24 + 24)
            insert(
                "INSERT INTO mail VALUES (?, ?, ?, ?)",
                [
                    (hour, name, outcome, chance.randrange(1, 200))
                    for hour in hours for name in names for outcome in OUTCOMES
                ],
            )  # fmt: skip
            insert(
                "INSERT INTO durations VALUES (?, ?, ?, ?, ?)",
                [(hour, what, bucket, 9, 9.5) for hour in hours for what in ("in", "out", "scan") for bucket in range(30, 50)],
            )  # fmt: skip
            insert("INSERT INTO queue VALUES (?, ?, ?)", [(hour, chance.randrange(50), 3600) for hour in hours])
            for name in names:
                figures.add_report(
                    f"{name} {day}",
                    [
                        store.DmarcRow(day * 86400, name, f"receiver-{reporter}.example", source, "none", "pass", "fail", 5)
                        for reporter in range(5) for source in ("own", "other")
                    ],
                )  # fmt: skip
            for account in range(accounts):
                figures.note_storage(day * 86400, f"account-{account}@{names[account % domains]}", 10**9 + day, 1000)
            if day % 5 == 0:
                figures.condense(day * 86400)
        figures.condense(now)


#: With mail.
OUTCOMES = ("in", "junk", "refused", "out", "deferred")

if __name__ == "__main__":
    unittest.main()
