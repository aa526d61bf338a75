"""When a key may sign: the first of a domain, one that comes back, and what the timer finds."""

import pathlib
import unittest
from unittest import mock

from mailhost import commands, dkim, dkim_evidence, tlsa
from mailhost.dkim_evidence import Entry
from mailhost.failure import Failure
from signing import TTL, Signing, plan


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
        self.assertEqual(self.ran, [("systemctl", "enable", "--now", "--quiet", "mailhost-sign.timer")])

    def test_finds_out_again_what_a_volume_without_evidence_does_not_tell(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        dkim_evidence.EVIDENCE.unlink()
        self.assertFalse(dkim.newly_visible())
        visible = Entry(visible=self.clock.now + 1)
        self.assertEqual(dkim_evidence.load(), {"example.org": {"s1": visible, "s2": visible}})

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
        self.assertEqual(self.said[-1][1], "example.net signs with s1 from now on")

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


class FirstKey(Signing):
    """Of a domain that has signed with none."""

    name = "s1._domainkey.new.example"

    def setUp(self):
        super().setUp()
        self.new = plan({"example.org": "s1", "new.example": "s1", "other.example": "s1"}, "s1", "s2")
        # A volume that is new has none of the folders.
        self.replace(dkim, UNSIGNED=self.folder / "volume/unsigned")
        self.start = self.clock.now

    def waited(self):
        return self.clock.now - self.start

    def test_signs_at_once_where_it_is_out(self):
        self.push(self.new)
        self.assertEqual((self.waited(), self.signs("new.example"), self.said), (0, {"s1"}, []))

    def test_is_waited_for_a_little(self):
        self.appears[self.name] = self.clock.now + dkim.FIRST_PATIENCE
        self.push(self.new)
        self.assertEqual((self.waited(), self.signs("new.example")), (30, {"s1"}))
        self.assertEqual(self.said, [(self.start, "waiting for new.example, s1: nothing", True)])

    def test_does_not_sign_where_it_comes_later(self):
        self.appears[self.name] = self.clock.now + dkim.FIRST_PATIENCE + 1
        self.push(self.new)
        self.assertEqual((self.waited(), self.signs("new.example"), self.signs("other.example")), (30, set(), {"s1"}))
        self.assertEqual(dkim.unsigned_domains(), {"new.example"})
        self.assertEqual(
            self.said[1:],
            [
                (
                    self.clock.now,
                    "WARNING: new.example sends unsigned until all name servers of its zone answer with "
                    "s1._domainkey.new.example: nothing. Once they do it signs by itself",
                    False,
                )
            ],
        )

    def test_is_not_waited_for_again(self):
        self.appears[self.name] = self.clock.now + 100
        self.push(self.new)
        self.start = self.clock.now
        self.push(self.new)
        self.assertEqual((self.waited(), dkim.unsigned_domains()), (0, {"new.example"}))
        self.clock.now += 100
        self.push(self.new)
        self.assertEqual((self.signs("new.example"), dkim.unsigned_domains()), ({"s1"}, set()))

    def test_is_told_of_while_it_is_not_there(self):
        self.gone |= {self.name, "s1._domainkey.other.example"}
        self.push(self.new)
        self.assertEqual(
            dkim.warnings((name, "s1") for name in ("example.org", "other.example")),
            [
                "other.example sends unsigned until all name servers of its zone answer with "
                "s1._domainkey.other.example. Once they do it signs by itself"
            ],
        )

    def test_is_that_which_a_host_without_evidence_signs_with(self):
        self.push(plan({"example.org": "s2"}, "s2", "s3"))
        (dkim.UNSIGNED / "new.example").touch()
        evidence = {"example.org": {"s2": Entry(begun=1)}}
        folder = "/etc/amavis/dkim"
        paths = ("conf", *(f"{folder}/{name}.pem" for name in ("new.example.s1", "a.b.example.s12", "example.org.s1")))
        dkim.adopt(evidence, dict.fromkeys(paths))
        self.assertEqual(
            evidence, {"example.org": {"s2": Entry(begun=1)}, "a.b.example": {"s12": Entry(begun=self.clock.now)}}
        )
        # So that its record cannot go yet.
        with self.assertRaisesRegex(Failure, "^s1 of example.net signed until "):
            dkim.check(plan({"example.net": "s2"}, "s2", "s3"), {f"{folder}/example.net.s1.pem": {}})


if __name__ == "__main__":
    unittest.main()
