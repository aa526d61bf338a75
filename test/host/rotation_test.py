"""What the host goes by before another key signs, and before one goes: evidence, and the answers of name servers."""

import dataclasses
import json
import unittest
from unittest import mock

from mailhost import dkim, dkim_evidence
from mailhost.dkim_evidence import Entry
from mailhost.documents import plain
from mailhost.failure import Failure
from mailhost.files import File
from signing import TTL, Signing, plan


class Evidence(Signing):
    def test_is_whole_and_everybody_may_read_it(self):
        start = self.clock.now
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        key = Entry(key=dkim.fingerprint("QUFB"), visible=start + 1)
        signs = dataclasses.replace(key, begun=start, keep=start + 1000, longest=1000, retention=1000)
        self.assertEqual(dkim_evidence.load(), {"example.org": {"s1": signs, "s2": key}})
        self.assertEqual({(file.mode, file.owner) for file in self.written}, {("0644", "root:root")})
        self.assertRegex(
            dkim_evidence.EVIDENCE.read_text(), r'^\{\n "example\.org": \{\n  "s1": \{\n   "from": .*\n   "keep": '
        )

    def test_does_not_change_where_nothing_does(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.asked.clear()
        before = dkim_evidence.load()
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual((dkim_evidence.load(), self.asked), (before, []))
        self.clock.now += 100
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual(dkim_evidence.load()["example.org"]["s1"].begun, before["example.org"]["s1"].begun)

    def test_takes_no_time_of_a_clock_that_was_ahead(self):
        now = self.clock.now
        ahead = now + 99
        entry = Entry(visible=ahead, begun=ahead, until=ahead, longest=10, keep=ahead)
        dkim_evidence.save({"example.org": {"s1": entry}})
        entry = Entry(visible=now + 1, begun=now, until=now, longest=10, keep=now + 10)
        self.assertEqual(dkim_evidence.load(), {"example.org": {"s1": entry}})

    def test_has_one_key_of_a_selector_for_good(self):
        self.push(plan({"example.org": "s9"}, "s9", "s10"))
        other = plan({"example.org": "s9"}, "s9", "s10")
        text = other[dkim.PUBLIC_KEYS].text.replace("QUFB", "QUFC", 1)
        other[dkim.PUBLIC_KEYS] = File("0644", "root:root", text)
        with self.assertRaises(Failure) as caught:
            self.push(other)
        self.assertEqual(
            str(caught.exception),
            "s9 of example.org would get another key than it had. Mail that was signed with that could no longer be "
            "verified: set dkimGeneration of the domain to 11 or more",
        )

    def test_tells_whether_amavis_has_the_key_that_is_looked_for(self):
        self.push(plan({"example.org": "s1"}, "s1"))
        commands = []

        def key_with(*lines):
            pem = "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))
            return mock.patch.object(dkim, "run", lambda *command: commands.append(command) or pem)

        with key_with("QU", "FB"):
            self.assertTrue(dkim.has_announced_key("example.org", "s1"))
            self.assertFalse(dkim.has_announced_key("example.org", "s2"))
            self.assertFalse(dkim.has_announced_key("example.net", "s1"))
        with key_with("QU", "FC"):
            self.assertFalse(dkim.has_announced_key("example.org", "s1"))
        self.assertEqual(commands[0], ("openssl", "pkey", "-in", "/etc/amavis/dkim/example.org.s1.pem", "-pubout"))


class Rotation(Signing):
    def test_waits_where_that_is_minutes(self):
        self.negative_ttl = 10
        name = "s2._domainkey.example.org"
        start = self.clock.now
        self.appears[name] = start + 200
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3"))
        # It counts from the second after it was seen.
        self.assertEqual((self.clock.now - start, self.signs("example.org")), (211, {"s2"}))
        self.assertEqual(
            self.said, [(start + at, "waiting for example.org, s2: nothing", True) for at in (0, 60, 120, 180)]
        )

    def test_waits_for_no_more_than_minutes(self):
        for negative_ttl, is_late in ((299, False), (300, True)):
            self.negative_ttl = negative_ttl
            self.clock.now += 86400
            domain = f"{negative_ttl}.example"
            self.push(plan({domain: "s1"}, "s1"))
            start = self.clock.now
            until = dkim.utc(start + 1 + negative_ttl)
            rotated = plan({domain: "s2"}, "s1", "s2", "s3")
            if is_late:
                with self.assertRaisesRegex(Failure, f"- {domain}, s2: until {until} others may remember"):
                    self.push(rotated)
            else:
                self.push(rotated)
            self.assertEqual(self.clock.now - start, 0 if is_late else 300)

    def test_tells_of_five_domains_that_it_waits_for(self):
        names = [f"{letter}.example" for letter in "fedcba"]
        self.negative_ttl = 10
        self.push(plan(dict.fromkeys(names, "s1"), "s1"))
        self.push(plan(dict.fromkeys(names, "s2"), "s1", "s2"))
        self.assertEqual(
            [text[:22] for _, text, _ in self.said], [f"waiting for {letter}.example," for letter in "abcde"]
        )

    def test_goes_on_in_the_second_in_which_nobody_remembers(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.clock.now += 1 + TTL
        start = self.clock.now
        self.push(plan({"example.org": "s2"}, "s1", "s2", "s3"))
        self.assertEqual(self.clock.now, start)

    def test_asks_for_no_more_than_it_needs(self):
        self.push(plan({"example.org": "s1", "example.net": "s1"}, "s1", "s2"))
        self.clock.now += 86400
        self.asked.clear()
        self.push(plan({"example.org": "s2", "example.net": "s1"}, "s1", "s2", "s3"))
        self.assertEqual(
            self.asked, ["s3._domainkey.example.net", "s2._domainkey.example.org", "s3._domainkey.example.org"]
        )

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
            ".*\nSigning goes on with the keys from before. Run `pulumi up` again once that has changed, or have a domain keep "
            "its key by a dkimGeneration of its own: domains\\[i\\].dkimGeneration$",
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

    def test_waits_for_a_key_that_still_signs_as_long_as_it_was_told_to(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        self.clock.now += 10
        until = dkim.utc(self.clock.now + 9000)
        with self.assertRaisesRegex(Failure, f"^s1 of example.org signed until .* has to stay until {until}: run"):
            self.push(plan({"example.org": "s2"}, "s2", "s3", retention=1000))

    def test_minds_each_key(self):
        """One that never signed may go, and holds up no look at the others."""
        for signs, *published in (("s1", "s1", "s2", "s3"), ("s2", "s1", "s2", "s3")):
            self.push(plan({"example.org": signs}, *published, retention=86400))
            self.clock.now += 3600
        evidence = dkim_evidence.noted()
        evidence["example.org"] = {"s0": Entry(key="never")} | evidence["example.org"]
        dkim_evidence.EVIDENCE.write_text(json.dumps(evidence, default=plain))
        with self.assertRaisesRegex(Failure, "^s1 of example.org signed until "):
            self.push(plan({"example.org": "s2"}, "s2", "s3", retention=1000))

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
