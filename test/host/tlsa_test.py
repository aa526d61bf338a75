"""When a TLS key may be served, by TLSA records that others remember for as long as their TTL."""

import base64
import hashlib
import json
import pathlib
import subprocess
import unittest
from unittest import mock

from mailhost import tlsa
from mailhost.failure import Failure
from mailhost.files import File
from on_host import Clock, OnHost

NAME = "_25._tcp.mail.example.org"
TTL = 3600


class Tlsa(OnHost):
    def setUp(self):
        super().setUp()
        self.clock = Clock(1_000_000.5)
        #: TTL of each record that all name servers answer with; or the failures that come before that answer.
        self.out, self.failures = {}, []
        self.asked, self.said, self.written = [], [], []
        self.evidence = self.folder / "tlsa.json"
        self.settings, self.key = self.folder / "tlsa", self.folder / "privkey.pem"
        self.replace(
            tlsa,
            EVIDENCE=self.evidence,
            SETTINGS=str(self.settings),
            KEY=str(self.key),
            time=self.clock,
            put=self.put,
            run=self.run_openssl,
            common_answers=self.answers,
            print=lambda text, flush=False: self.said.append((text, flush)),
        )

    def put(self, path, file):
        self.written.append(file)
        pathlib.Path(path).write_text(file.text)

    def run_openssl(self, *command, stdin):
        """A key is any text here."""
        self.assertEqual(command, ("openssl", "pkey", "-pubout"))
        public = base64.b64encode(stdin.encode()).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n"

    def answers(self, *question):
        self.asked.append(question)
        if self.failures:
            raise self.failures.pop(0)
        return self.out

    def record(self, key):
        return f"3 1 1 {hashlib.sha256(key.encode()).hexdigest()}"

    def check(self, key, *planned):
        lines = "".join(f"{self.record(other)}\n" for other in planned)
        settings = File("0644", "root:root", f"{NAME}\n{lines}")
        tlsa.check({tlsa.SETTINGS: settings, tlsa.KEY: File("0600", "root:root", key)})


class Check(Tlsa):
    def setUp(self):
        super().setUp()
        self.key.write_text("old")
        self.out = {self.record("old"): TTL, self.record("new"): TTL}

    def waited(self, since):
        return self.clock.now - since

    def test_needs_no_records_where_the_host_has_none(self):
        tlsa.check({tlsa.KEY: File("0600", "root:root", "new")})
        self.assertEqual(self.asked, [])

    def test_keeps_the_record_of_the_key_that_is_served(self):
        with self.assertRaises(Failure) as caught:
            self.check("old", "new", "newer")
        self.assertEqual(
            str(caught.exception),
            f"this plan removes the TLSA record of the key that is still served: TLSA {self.record('old')}. Set "
            "tlsGeneration back, and go on once the host has a certificate for the key of that generation: mailhost renew",
        )

    def test_asks_nobody_about_a_key_that_is_served_or_is_the_first(self):
        self.check("old", "old", "new")
        self.key.unlink()
        self.check("new", "old", "new")
        self.assertEqual(self.asked, [])

    def test_serves_a_new_key_where_nobody_publishes_records(self):
        self.out = {}
        self.check("new", "old", "new")
        self.assertEqual(self.asked, [("mail.example.org", NAME, "TLSA")])
        self.assertEqual(self.said, [])

    def test_refuses_a_key_whose_record_is_not_out(self):
        del self.out[self.record("new")]
        with self.assertRaises(Failure) as caught:
            self.check("new", "old", "new")
        self.assertEqual(
            str(caught.exception),
            f"{NAME} has no TLSA record of the new key yet: TLSA {self.record('new')}. Run `pulumi up` again once it has",
        )

    def test_refuses_a_key_while_others_may_remember_records_without_it(self):
        with self.assertRaises(Failure) as caught:
            self.check("new", "old", "new")
        # Since 1,000,001, for 3,600 seconds.
        self.assertEqual(
            str(caught.exception),
            f"others may remember TLSA records of {NAME} without the new key until 1970-01-12 14:46:41 UTC: "
            "run `pulumi up` again then",
        )
        self.assertEqual(self.said, [])

    def test_waits_where_that_is_minutes(self):
        self.out[self.record("new")] = 300
        # It counts from the second after it was seen.
        start = self.clock.now = 1_000_000
        self.check("new", "old", "new")
        self.assertEqual(self.waited(start), 301)
        self.assertEqual(
            self.said[0],
            ("waiting until 1970-01-12 13:51:41 UTC: others may remember TLSA records without the new key", True),
        )
        self.assertEqual(len(self.said), 6)

    def test_waits_for_no_more_than_minutes(self):
        self.out[self.record("new")] = 301
        with self.assertRaisesRegex(Failure, "others may remember"):
            self.check("new", "old", "new")

    def test_waits_for_a_record_until_it_has_been_out_for_its_own_ttl(self):
        self.out = {self.record("old"): 10, self.record("new"): 100}
        tlsa.look(NAME)
        self.clock.now += 60
        start = self.clock.now
        self.check("new", "old", "new")
        self.assertEqual(self.waited(start), 40.5)

    def test_serves_a_key_at_once_whose_record_everybody_knows(self):
        tlsa.look(NAME)
        self.clock.now += TTL + 0.5
        start = self.clock.now
        self.check("new", "old", "new")
        self.assertEqual((self.waited(start), self.said), (0, []))

    def test_asks_again_where_name_servers_do_not_answer(self):
        tlsa.look(NAME)
        self.clock.now += TTL + 0.5
        self.failures = [Failure("time-out")] * 3
        start = self.clock.now
        self.check("new", "old", "new")
        self.assertEqual(self.waited(start), 15)
        self.assertEqual(self.said, [("asking again: time-out", True)] * 3)

    def test_gives_up_where_they_have_not_answered_for_minutes(self):
        self.failures = [Failure("time-out")] * 1000
        start = self.clock.now
        with self.assertRaisesRegex(Failure, "time-out"):
            self.check("new", "old", "new")
        self.assertEqual(self.waited(start), 300)

    def test_counts_these_minutes_from_the_last_answer(self):
        self.out[self.record("new")] = 280
        rounds = iter([0, 0, *[1] * 45, 0])

        def flaky(*question):
            self.failures = [Failure("time-out")] * next(rounds)
            return self.answers(*question)

        with mock.patch.object(tlsa, "common_answers", flaky):
            # For two minutes it waits, and asks in vain for the next four.
            self.check("new", "old", "new")
        self.assertEqual(len(self.said), 2 + 45)


class Look(Tlsa):
    def test_notes_since_when_records_are_out(self):
        self.out = {"3 1 1 aa": 60}
        self.assertEqual(tlsa.look(NAME), (self.out, {"3 1 1 aa": 1_000_001}))
        self.clock.now += 100
        self.out = {"3 1 1 aa": 60, "3 1 1 bb": 90}
        since = {"3 1 1 aa": 1_000_001, "3 1 1 bb": 1_000_101}
        self.assertEqual(tlsa.look(NAME), (self.out, since))
        self.assertEqual(json.loads(self.evidence.read_text()), since)
        self.assertEqual(
            self.written[-1],
            File("0644", "root:root", '{\n "3 1 1 aa": 1000001,\n "3 1 1 bb": 1000101\n}\n'),
        )

    def test_forgets_a_record_that_is_gone(self):
        self.out = {"3 1 1 aa": 60}
        tlsa.look(NAME)
        self.out = {}
        self.assertEqual(tlsa.look(NAME), ({}, {}))
        self.clock.now += 100
        self.out = {"3 1 1 aa": 60}
        self.assertEqual(tlsa.look(NAME)[1], {"3 1 1 aa": 1_000_101})

    def test_writes_only_what_is_new(self):
        self.out = {"3 1 1 aa": 60}
        tlsa.look(NAME)
        self.clock.now += 100
        tlsa.look(NAME)
        self.assertEqual(len(self.written), 1)

    def test_takes_no_time_of_a_clock_that_was_ahead(self):
        self.out = {"3 1 1 aa": 60}
        self.clock.now += 1_000_000
        tlsa.look(NAME)
        self.clock.now -= 1_000_000
        self.assertEqual(tlsa.look(NAME)[1], {"3 1 1 aa": 1_000_001})

    def test_asks_for_a_host_name_of_any_length(self):
        tlsa.look("_25._tcp.a.b.example.org")
        self.assertEqual(self.asked, [("a.b.example.org", "_25._tcp.a.b.example.org", "TLSA")])


class Note(Tlsa):
    def test_looks_where_the_host_has_records(self):
        tlsa.note()
        self.assertEqual(self.asked, [])
        self.settings.write_text(f"{NAME}\n3 1 1 aa\n")
        tlsa.note()
        self.assertEqual(self.asked, [("mail.example.org", NAME, "TLSA")])

    def test_warns_where_nobody_answers(self):
        self.settings.write_text(f"{NAME}\n3 1 1 aa\n")
        self.failures = [Failure("time-out")]
        tlsa.note()
        self.assertEqual(self.said, [("WARNING: time-out", False)])


class RecordOf(unittest.TestCase):
    def test_is_the_hash_of_the_public_key(self):
        key = subprocess.run(
            ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        der = subprocess.run(
            ("openssl", "pkey", "-pubout", "-outform", "DER"), input=key.encode(), capture_output=True, check=True
        ).stdout
        self.assertEqual(tlsa.record_of(key), f"3 1 1 {hashlib.sha256(der).hexdigest()}")


if __name__ == "__main__":
    unittest.main()
