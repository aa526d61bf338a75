"""What the host goes by before a key signs: evidence of several domains, and the answers of their name servers."""

import json
import pathlib
import unittest
from unittest import mock

from mailhost import commands, dkim, dkim_evidence, tlsa, visibility
from mailhost.failure import Failure
from mailhost.files import File
from on_host import OnHost

TTL = 1800


class Clock:
    """Time that passes where somebody waits."""

    def __init__(self):
        self.now = 1_000_000

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def __getattr__(self, name):
        return getattr(__import__("time"), name)


def plan(signs, *published, retention=1000):
    """The same selectors for each of the domains, as amavis' files have them."""
    domains = {domain: {"signs": selector, "published": published} for domain, selector in signs.items()}
    keys = {domain: dict.fromkeys(published, "QUFB") for domain in signs}
    return {
        dkim.SETTINGS: File("0644", "root:root", json.dumps({"retention": retention, "domains": domains})),
        dkim.PUBLIC_KEYS: File("0644", "root:root", json.dumps(keys)),
    }


class Signing(OnHost):
    def setUp(self):
        super().setUp()
        self.clock = Clock()
        #: Names that no name server has, and those of which none answers.
        self.gone, self.silent = set(), set()
        self.ran = []
        self.replace(
            dkim_evidence,
            EVIDENCE=self.folder / "dkim.json",
            time=self.clock,
            put=lambda path, file: pathlib.Path(path).write_text(file.text),
        )
        self.replace(
            dkim,
            SETTINGS=str(self.folder / "settings.json"),
            PUBLIC_KEYS=str(self.folder / "keys.json"),
            UNSIGNED=self.folder / "unsigned",
            RESTART=self.folder / "restart",
            time=self.clock,
            run=lambda *command: self.ran.append(command),
            look_at_all=lambda queries: [self.look(query.name) for query in queries],
            print=lambda *_, **__: None,
        )

    def look(self, name):
        if name in self.silent:
            return visibility.Look("time-out", certain=False)
        return visibility.Look("nothing", negative_ttl=TTL) if name in self.gone else visibility.Look(negative_ttl=TTL)

    def push(self, files, killed=False):
        dkim.check(files, {})
        if not killed:
            for path, file in files.items():
                pathlib.Path(path).write_text(file.text)
            dkim.note_signers()

    def signs(self, domain):
        return dkim.signers(dkim_evidence.load().get(domain, {}))


class Timer(Signing):
    def test_notices_that_a_record_was_gone(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.clock.now += 86400
        self.gone.add("s2._domainkey.example.org")
        self.assertFalse(dkim.newly_visible())
        self.gone.clear()
        self.assertFalse(dkim.newly_visible())
        with self.assertRaisesRegex(Failure, "others may remember"):
            self.push(plan({"example.org": "s2"}, "s1", "s2", "s3"))
        self.assertEqual(self.signs("example.org"), {"s1"})
        self.assertFalse(dkim.newly_visible())
        self.clock.now += TTL
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3"))

    def test_takes_no_silence_for_an_answer(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        before = dkim_evidence.EVIDENCE.stat().st_mtime_ns
        self.silent.add("s2._domainkey.example.org")
        self.assertFalse(dkim.newly_visible())
        self.assertEqual(dkim_evidence.EVIDENCE.stat().st_mtime_ns, before)

    def test_stays_on(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual(self.ran[-1][:2], ("systemctl", "enable"))

    def test_also_looks_at_tls_keys(self):
        with mock.patch.object(tlsa, "look") as look, mock.patch.object(tlsa, "SETTINGS", str(self.folder / "tlsa")):
            pathlib.Path(tlsa.SETTINGS).write_text("_25._tcp.mail.example.org\n3 1 1 00\n")
            self.push(plan({"example.org": "s1"}, "s1", "s2"))
            look.side_effect = Failure("time-out")
            commands.run_sign(None)
        look.assert_called_once_with("_25._tcp.mail.example.org")

    def test_minds_no_domain_that_a_killed_push_has_marked(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.gone.add("s1._domainkey.new.example")
        self.push(plan({"example.org": "s1", "new.example": "s1"}, "s1", "s2"), killed=True)
        self.assertEqual(dkim.unsigned_domains(), {"new.example"})
        self.gone.clear()
        self.assertFalse(dkim.newly_visible())
        dkim.note_signers()
        self.assertEqual(dkim.unsigned_domains(), set())


class Return(Signing):
    both = {"example.org": "s1", "example.net": "s1"}

    def setUp(self):
        super().setUp()
        self.push(plan(self.both, "s1", "s2"))
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.clock.now += 86400

    def test_of_a_domain_waits_until_nobody_remembers_that_its_record_was_gone(self):
        start = self.clock.now
        self.push(plan(self.both, "s1", "s2"))
        self.assertEqual((self.clock.now, self.signs("example.net")), (start, set()))
        self.assertEqual(dkim.unsigned_domains(), {"example.net"})
        self.clock.now += TTL
        self.assertFalse(dkim.newly_visible())
        self.clock.now += 1
        self.assertTrue(dkim.newly_visible())
        self.assertEqual((self.signs("example.net"), dkim.unsigned_domains()), ({"s1"}, set()))

    def test_of_a_domain_goes_by_no_look_of_a_push_that_was_cut_off(self):
        self.push(plan(self.both, "s1", "s2"), killed=True)
        self.assertFalse(dkim.newly_visible())
        self.clock.now += TTL + 1
        self.push(plan(self.both, "s1", "s2"))
        self.assertEqual(self.signs("example.net"), set())

    def test_of_a_key_waits_as_well(self):
        for published in (("s1", "s2", "s3"), ("s2", "s3")):
            self.push(plan({"example.org": "s2"}, *published))
            self.clock.now += 86400
        with self.assertRaisesRegex(Failure, "s1.*others may remember"):
            self.push(plan({"example.org": "s1"}, "s1", "s2"))


class Rotation(Signing):
    def test_names_every_domain_that_holds_it_up_and_the_way_out(self):
        names = ("a.example", "b.example", "c.example", "d.example")
        self.push(plan(dict.fromkeys(names, "s1"), "s1", "s2"))
        self.clock.now += 86400
        # One is not there, of one nobody answers, and one was gone a moment ago.
        self.gone |= {"s2._domainkey.a.example", "s2._domainkey.c.example"}
        self.silent.add("s2._domainkey.b.example")
        dkim.newly_visible()
        self.gone.remove("s2._domainkey.c.example")
        with self.assertRaises(Failure) as caught:
            self.push(plan(dict.fromkeys(names, "s2"), "s1", "s2", "s3"))
        self.assertRegex(
            str(caught.exception),
            "(?s)- a.example, s2: nothing\n- b.example, s2: time-out\n- c.example, s2: until .* others may remember "
            ".*\nSigning goes on with the keys from before.*domains\\[i\\].dkimGeneration",
        )
        self.assertNotIn("d.example", str(caught.exception))
        for name in names:
            self.assertEqual(self.signs(name), {"s1"})
        own = plan(dict.fromkeys(names, "s1") | {"d.example": "s2"}, "s1", "s2", "s3")
        self.push(own)
        self.assertEqual(self.signs("d.example"), {"s2"})


class Removal(Signing):
    def removal_of_s1(self):
        return plan({"example.org": "s3"}, "s2", "s3", "s4", retention=1000)

    def test_waits_for_signatures_of_a_time_with_a_longer_retention(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        # Shortened first, and rotated afterwards.
        self.clock.now += TTL
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        self.clock.now += 10
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3", retention=1000))
        self.clock.now += 8900
        with self.assertRaisesRegex(
            Failure, "s1 of example.org signed until 1970-01-12 14:16:50 UTC, .* 1970-01-12 16:46:40 UTC"
        ):
            self.push(self.removal_of_s1())
        self.clock.now += 100
        self.push(self.removal_of_s1())

    def test_waits_as_long_where_the_rotation_shortens_it(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        self.clock.now += TTL
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3", retention=1000))
        self.clock.now += 8999
        with self.assertRaisesRegex(Failure, "s1 of example.org"):
            self.push(self.removal_of_s1())
        self.clock.now += 1
        self.push(self.removal_of_s1())

    def test_goes_by_the_shorter_retention_once_all_signatures_are_of_it(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        self.clock.now += 9000
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3", retention=1000))
        self.clock.now += 3000
        self.push(self.removal_of_s1())

    def test_forgets_times_of_a_clock_that_was_ahead(self):
        self.clock.now += 3 * 365 * 86400
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        self.clock.now -= 3 * 365 * 86400
        self.assertFalse(dkim.newly_visible())
        self.clock.now += TTL + 1
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3", retention=1000))
        self.assertEqual(self.signs("example.org"), {"s2"})
        self.clock.now += TTL
        self.push(self.removal_of_s1())

    def test_goes_by_the_retention_in_force_where_the_evidence_has_none(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        evidence = dkim_evidence.load()
        for selector in evidence["example.org"]:
            dkim_evidence.note(evidence, "example.org", selector, keep=None, retention=None)
        dkim_evidence.note(evidence, "example.org", "s1", until=self.clock.now)
        dkim_evidence.save(evidence)
        self.clock.now += 8999
        with self.assertRaisesRegex(Failure, "s1 of example.org"):
            self.push(plan({"example.org": "s2"}, "s2", "s3", retention=1000))


if __name__ == "__main__":
    unittest.main()
