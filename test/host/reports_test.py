"""Reports on DMARC and TLS: what is read, and what is refused."""

import gzip
import json
import os
import time
import unittest
import zipfile
from unittest import mock

import report_shapes as shapes
from mailhost.figures import store
from mailhost.reports import findings, kept, message, packing, reader
from mailhost.reports.aggregate import Check
from mailhost.reports.refusal import Refused
from on_host import OnHost

DOMAINS = frozenset({"example.org", "example.net", shapes.HOST})
#: Long after the reports of the shapes.
NOW = shapes.END + 86400


def read(data):
    return message.read(data, host_name=shapes.HOST, domains=DOMAINS)


class Case(OnHost):
    def setUp(self):
        super().setUp()
        self.replace(time, time=lambda: NOW)


class Shapes(Case):
    def test_are_twenty_and_each_is_read_right(self):
        self.assertGreaterEqual(len(shapes.SHAPES), 20)
        for name, data in shapes.SHAPES.items():
            with self.subTest(name):
                (result,) = read(data)
                report = result.dmarc
                self.assertEqual(
                    (result.reporter, report.id, report.domain, report.begin, report.end),
                    ("receiver.example", "4711", "example.org", shapes.BEGIN, shapes.END),
                )
                passed = [row for row in report.rows if row.source == "192.0.2.10"]
                self.assertEqual(sum(row.messages for row in passed), 3)
                self.assertEqual({(row.dkim, row.spf, row.disposition) for row in passed}, {("pass", "pass", "none")})
                (bad,) = [row for row in report.rows if row.source == "198.51.100.7"]
                self.assertEqual((bad.messages, bad.dkim, bad.spf, bad.disposition), (2, "fail", "fail", "quarantine"))
                self.assertEqual({row.domain for row in report.rows}, {"example.org"})

    def test_keep_what_was_checked(self):
        rows = read(shapes.SHAPES["portal: several signatures, np"])[0].dmarc.rows
        self.assertEqual(rows[0].signatures, (Check("example.org", "pass"), Check("list.example", "fail")))
        self.assertEqual(rows[1].envelope, (Check("bulk.example", "pass"),))
        odd = read(shapes.SHAPES["hosting company: capitals, final dots, whole address"])[0].dmarc.rows[1]
        self.assertEqual(odd.envelope, (Check("bulk.example", "pass"),))
        over = read(shapes.SHAPES["mobile company: overrides, IPv4 in IPv6, milliseconds"])[0].dmarc.rows[1]
        self.assertEqual(over.overrides, ("other",))

    def test_of_tls_are_read(self):
        plain = json.loads(shapes.TLS)
        none = json.loads(shapes.TLS)
        none["policies"][0] = {"policy": {"policy-type": "no-policy-found", "policy-domain": "example.org"},
                               "summary": {"total-successful-session-count": "7"}}  # fmt: skip
        for data, kind, expected in (
            (gzip.compress(shapes.TLS.encode()), "application/tlsrpt+gzip", ("sts", 95, 5, "certificate-expired")),
            (json.dumps(plain), "application/tlsrpt+json", ("sts", 95, 5, "certificate-expired")),
            (gzip.compress(json.dumps(none).encode()), "application/gzip", ("no-policy-found", 7, 0, None)),
            (shapes.zipped(("r.json", shapes.TLS)), "application/zip", ("sts", 95, 5, "certificate-expired")),
        ):
            with self.subTest(kind=kind):
                (result,) = read(shapes.message(data, kind, "r"))
                (policy,) = result.tls.policies
                failure = policy.failures[0].result if policy.failures else None
                self.assertEqual((policy.kind, policy.successful, policy.failed, failure), expected)


def gzip_of(size):
    return gzip.compress(b"<feedback>" + b" " * size)


good = gzip.compress(shapes.report().encode())
external = '<?xml version="1.0"?><!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
laughs = '<?xml version="1.0"?><!DOCTYPE f [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
SIGNED = f"{shapes.HOST} (amavis); dkim=pass header.d="
HOSTILE = {
    "a bomb of gzip": (shapes.message(gzip_of(packing.LARGEST * 10)), "larger than 20 MB"),
    "a bomb of zip": (shapes.message(shapes.zipped(("r.xml", b"<" + b" " * packing.LARGEST * 5))), "larger than 20 MB"),
    "a zip in a gzip": (shapes.message(gzip.compress(shapes.zipped(("r.xml", shapes.report())))), "packed twice"),
    "a zip of many files": (shapes.message(shapes.zipped(*((f"{n}.xml", "<a/>") for n in range(9)))), "9 files, more than 8"),
    "a zip of two reports": (shapes.message(shapes.zipped(("a.xml", "<a/>"), ("b.xml", "<b/>"))), "2 reports, not one"),
    "a zip of another compression": (
        shapes.message(shapes.zipped(("r.xml", shapes.report()), compression=zipfile.ZIP_LZMA)), "by deflate"),
    "a gzip that is cut off": (shapes.message(good[:-20]), "cut off"),
    "a damaged zip": (shapes.message(shapes.zipped(("r.xml", shapes.report()))[:100]), "damaged"),
    "an entity of a file": (shapes.message(shapes.report(head=external), "text/xml"), "document type"),
    "entities of entities": (shapes.message(shapes.report(head=laughs), "text/xml"), "document type"),
    "depth": (shapes.message("<feedback>" + "<a>" * 1000, "text/xml"), "deeper than 20 levels"),
    "a long text": (shapes.message(f"<feedback>{'x' * 20000}</feedback>", "text/xml"), "more than 10000 characters"),
    "no signature": (shapes.message(good, results=None), "no valid signature of receiver.example is on it, but none"),
    "a signature of another": (shapes.message(good, results=f"{SIGNED}evil.example"), "but of evil.example"),
    "a signature of a neighbour": (shapes.message(good, results=f"{SIGNED}notreceiver.example"), "no valid signature"),
    "a signature that failed": (
        shapes.message(good, results=f"{shapes.HOST} (amavis); dkim=fail header.d=receiver.example"), "no valid signature"),
    "the result of another host": (
        shapes.message(good, results="mail.evil.example (x); dkim=pass header.d=receiver.example"), "no valid signature"),
    "a result in a comment and in quotes": (shapes.message(good, results=(
        f'{shapes.HOST} (amavis); dkim=fail reason="; dkim=pass header.d=receiver.example" (; dkim=pass header.d=receiver.example) '
        "header.d=evil.example")), "no valid signature"),
    "a domain with a space": (
        shapes.message(good, results=f"{SIGNED}receiver.example x.evil.example"), "no valid signature"),
    "two senders": (shapes.message(good, sender="a@receiver.example, b@evil.example"), "does not have one sender"),
    "another domain": (shapes.message(gzip.compress(shapes.report().replace("example.org", "other.example").encode())),
                       "about other.example, which is not a domain of this host"),
    "a row about another domain": (shapes.message(gzip.compress(shapes.report(shapes.record(header="other.example")).encode())),
                                   "about other.example"),
    "a negative number": (shapes.message(shapes.report(shapes.record(count="-3")), "text/xml"), "'-3' is not a number"),
    "a number of other digits": (shapes.message(shapes.report(shapes.record(count="\u0663")), "text/xml"), "not a number"),
    "no address": (shapes.message(shapes.report(shapes.record(source="192.0.2.1/24")), "text/xml"), "not an IP address"),
    "a time that is not yet": (shapes.message(shapes.report(end=shapes.END + 86400 * 30), "text/xml"), "no time that can be"),
    "a page": (shapes.message("<html><body>report</body></html>", "text/xml"), "a html, not a report"),
    "no report": (shapes.message("hello", "text/plain", "hello.txt"), "it has no report"),
    "JSON that is deep": (shapes.message('{"a":' + "[" * 100_000, "application/json"), "damaged"),
    "a TLS report of another domain": (
        shapes.message(shapes.TLS.replace('domain":"example.org', 'domain":"other.example'), "application/json"), "about other.example"),
    "a TLS report without numbers": (shapes.message(shapes.TLS.replace(":95", ":-1"), "application/json"), "not a number of sessions"),
}  # fmt: skip


class Hostile(Case):
    def test_each_is_refused_with_its_reason(self):
        self.assertGreaterEqual(len(HOSTILE), 10)
        for name, (data, words) in HOSTILE.items():
            with self.subTest(name), self.assertRaisesRegex(Refused, words):
                read(data)

    def test_bombs_take_no_room(self):
        import tracemalloc

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with self.assertRaises(Refused):
            packing.unpacked(gzip.compress(b" " * (200 << 20)))
        self.assertLess(tracemalloc.get_traced_memory()[1], 250 << 20)


class Reader(Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder / "home"
        for folder in ("INBOX", "Junk"):
            for part in ("new", "cur", "tmp"):
                (self.home / "mail/Folders" / folder / ".maildir" / part).mkdir(parents=True)
        self.said = []
        self.replace(reader, print=lambda *words, **_: self.said.append(" ".join(words)))

    def deliver(self, data, folder="INBOX/.maildir/new", name="1.example"):
        (self.home / "mail/Folders" / folder / name).write_bytes(data)

    def run_reader(self):
        reader.read_mailbox(self.home, shapes.HOST, DOMAINS)
        return sorted(path.name for path in (self.home / "refused").iterdir())

    def test_takes_good_reports_from_all_folders_and_sets_others_aside(self):
        self.deliver(shapes.message(good))
        self.deliver(shapes.message(shapes.TLS, "application/json"), "Junk/.maildir/cur", "2.example:2,S")
        self.deliver(b"From: a\n\nhello", name="3.example")
        self.assertEqual(self.run_reader(), ["3.example"])
        self.assertEqual(len([*(self.home / "read").glob("*.json")]), 2)
        self.assertEqual([path for path in self.home.rglob("*.example*") if "mail" in path.parts], [])
        self.assertRegex(self.said[0], "^3.example is refused: its sender is not an address")

    def test_never_reads_what_ended_it_a_second_time(self):
        self.deliver(shapes.message(good))
        with mock.patch.object(message, "read", side_effect=SystemExit), self.assertRaises(SystemExit):
            self.run_reader()
        self.assertEqual(self.run_reader(), ["1.example"])

    def test_sets_aside_what_the_parser_of_messages_fails_with(self):
        self.deliver(shapes.message(good))
        with mock.patch.object(message, "read", side_effect=AssertionError):
            self.assertEqual(self.run_reader(), ["1.example"])

    def test_follows_no_link(self):
        os.symlink("/etc/passwd", self.home / "mail/Folders/INBOX/.maildir/new/4.example")
        self.assertEqual(self.run_reader(), [])


class Kept(Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder / "home"
        (self.home / "read").mkdir(parents=True)
        (self.home / "refused").mkdir()
        (self.folder / "domains").write_text("example.net\nexample.org\nmailhost-probe.invalid\n")
        self.database = self.folder / "figures.sqlite"
        self.replace(store, PATH=self.database)
        self.replace(kept, FOLDER=self.folder / "kept", HOME=self.home, DOMAINS=self.folder / "domains",
                     host_name=lambda: shapes.HOST)  # fmt: skip
        self.replace(kept.resolver, records=lambda name, kind: ["192.0.2.10"] if kind == "A" else [])
        self.said = []
        self.replace(kept, print=lambda *words: self.said.append(" ".join(words)))

    def take(self, *messages):
        for data in messages:
            for result in read(data):
                reader.put(self.home / "read", result)
        kept.take()
        for path in kept.FOLDER.iterdir():
            os.utime(path, (NOW, NOW))

    def sums(self, table):
        with store.opened() as figures:
            return sorted(figures.database.execute(f"SELECT * FROM {table}").fetchall())

    def bad(self, messages=12, **others):
        fields = {"source": "198.51.100.7", "dkim": "fail", "spf": "fail", **others}
        return shapes.message(shapes.report(shapes.record(count=str(messages), **fields)), "text/xml")

    def test_adds_each_report_to_the_figures_once_without_addresses(self):
        day = shapes.BEGIN // 86400
        for _ in range(2):
            self.take(shapes.message(good), shapes.message(shapes.TLS, "application/json"))
            self.assertEqual(
                self.sums("dmarc"),
                [
                    (day, "example.org", "receiver.example", "other", "quarantine", "fail", "fail", 2),
                    (day, "example.org", "receiver.example", "own", "none", "pass", "pass", 3),
                ],
            )
            self.assertEqual(
                [row[3:] for row in self.sums("tls")],
                [("sts", "certificate-expired", 4), ("sts", "success", 95), ("sts", "unknown", 1)],
            )
        self.assertEqual([*(self.home / "read").iterdir()], [])
        self.assertNotIn(b"198.51.100.7", self.database.read_bytes())

    def test_does_not_trust_what_the_reader_left(self):
        (self.home / "read/a.json").write_text("[]")
        os.symlink("/etc/passwd", self.home / "read/b.json")
        os.mkfifo(self.home / "read/c.json")
        (self.home / "read/d.json").write_bytes(b"\xff")
        kept.take()
        self.assertEqual(self.sums("dmarc"), [])
        self.assertEqual([line.split()[0] for line in self.said], ["a.json", "b.json", "c.json", "d.json"])

    def test_forgets_the_oldest(self):
        self.replace(kept, MOST=1)
        self.take(shapes.message(good), shapes.message(shapes.TLS, "application/json"))
        self.assertEqual(len([*kept.FOLDER.iterdir()]), 1)
        self.replace(time, time=lambda: NOW + kept.MEMORY + 1)
        kept.forget()
        self.assertEqual([*kept.FOLDER.iterdir()], [])

    def found(self):
        return [*findings.own_failures()], [*findings.unknown_senders()], [*findings.tls_failures()]

    def test_find_nothing_where_all_passes_or_is_forged(self):
        forged = "<spf><domain>example.org</domain><result>fail</result></spf>"
        self.take(shapes.message(shapes.report(shapes.record()), "text/xml"), self.bad(1000, results=forged))
        self.assertEqual(self.found(), ([], [], []))

    def test_find_mail_of_this_host_that_fails(self):
        self.take(self.bad(source="192.0.2.10", results=(
            "<dkim><domain>example.org</domain><result>fail</result></dkim>"
            "<spf><domain>example.org</domain><result>softfail</result></spf>")))  # fmt: skip
        own, unknown, _ = self.found()
        self.assertEqual(own, [
            "example.org: 12 messages of this host failed at receiver.example: DKIM fail of example.org, SPF softfail of example.org"
        ])  # fmt: skip
        self.assertEqual(unknown, [])

    def test_find_a_service_that_is_not_set_up(self):
        spf = "<spf><domain>bulk.example</domain><result>pass</result></spf>"
        self.take(self.bad(12, results=spf))
        self.assertEqual(self.found()[1], [
            "example.org: 12 messages of bulk.example (at 198.51.100.7), reported by receiver.example: DKIM none, SPF pass of bulk.example"
        ])  # fmt: skip

    def test_find_no_mailing_list_nor_a_few_messages(self):
        spf = "<spf><domain>list.example</domain><result>pass</result></spf>"
        broken = "<dkim><domain>example.org</domain><result>fail</result></dkim>"
        for data in (
            self.bad(9, results=spf),
            self.bad(500, results=broken + spf),
            self.bad(500, results=spf, extra="<reason><type>mailing_list</type></reason>"),
        ):
            with self.subTest(data=data[-400:]):
                self.take(data)
                self.assertEqual(self.found(), ([], [], []))

    def test_find_sessions_without_the_tls_of_the_policy(self):
        self.take(shapes.message(shapes.TLS, "application/json"))
        self.assertEqual(self.found()[2], [
            "example.org, policy sts: certificate-expired at mail.example.org in 4 of 100 sessions, reported by receiver.example",
            "example.org, policy sts: unknown in 1 of 100 sessions, reported by receiver.example",
        ])  # fmt: skip
        self.replace(time, time=lambda: NOW + findings.DAYS * 86400 + 1)
        self.assertEqual(self.found(), ([], [], []))


if __name__ == "__main__":
    unittest.main()
