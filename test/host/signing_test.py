"""What the host goes by before a key signs: evidence of several domains, and the answers of their name servers."""

import json
import pathlib
import sys
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from mailhost import commands, dkim, tlsa, visibility
from mailhost.failure import Failure

TTL = 1800
#: Of an authoritative answer.
AA = 0x0400


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


class SetOfRecords(list):
    """With the attributes of an RRset."""


class Text:
    """A TXT record."""

    def __init__(self, *strings):
        self.strings = [string.encode() for string in strings]

    def __str__(self):
        return b"".join(self.strings).decode()


def plan(signs, *published, retention=1000):
    """The same selectors for each of the domains, as amavis' files have them."""
    domains = {domain: {"signs": selector, "published": published} for domain, selector in signs.items()}
    keys = {domain: dict.fromkeys(published, "QUFB") for domain in signs}
    return {
        dkim.SETTINGS: {"text": json.dumps({"retention": retention, "domains": domains})},
        dkim.PUBLIC_KEYS: {"text": json.dumps(keys)},
    }


class Signing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = base = pathlib.Path(folder.name)
        self.clock = Clock()
        #: Names that no name server has, those of which none answers, and times from which they are there.
        self.gone, self.silent, self.appears = set(), set(), {}
        self.negative_ttl = TTL
        self.asked, self.ran, self.said, self.written = [], [], [], []
        for what, value in {
            "EVIDENCE": base / "dkim.json",
            "SETTINGS": str(base / "settings.json"),
            "PUBLIC_KEYS": str(base / "keys.json"),
            "UNSIGNED": base / "unsigned",
            "RESTART": base / "restart",
            "time": self.clock,
            "put": self.put,
            "run": lambda *command: self.ran.append(command),
            "look_at_all": self.look_at_all,
            "print": lambda text, flush=False: self.said.append((self.clock.now, text, flush)),
        }.items():
            patch = mock.patch.object(dkim, what, value, create=what == "print")
            patch.start()
            self.addCleanup(patch.stop)

    def put(self, path, file):
        self.written.append(file)
        pathlib.Path(path).write_text(file["text"])

    def look_at_all(self, records):
        for owner, name, kind, are_right in records:
            self.assertEqual((name.partition("._domainkey.")[2], kind), (owner, "TXT"))
            self.assertTrue(are_right([Text("v=DKIM1; k=rsa; p=QUFB")]))
            self.assertFalse(are_right([Text("v=DKIM1; k=rsa; p=QUFC")]))
            self.asked.append(name)
        return [self.look(name) for _, name, _, _ in records]

    def look(self, name):
        if name in self.silent:
            return visibility.Look("time-out", certain=False)
        is_gone = name in self.gone or self.clock.now < self.appears.get(name, 0)
        return visibility.Look("nothing" if is_gone else None, negative_ttl=self.negative_ttl)

    def push(self, files, killed=False):
        dkim.check(files, {})
        if not killed:
            for path, file in files.items():
                pathlib.Path(path).write_text(file["text"])
            dkim.note_signers()

    def signs(self, domain):
        return dkim.signers(dkim.load().get(domain, {}))


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
        before = dkim.EVIDENCE.stat().st_mtime_ns
        self.silent.add("s2._domainkey.example.org")
        self.assertFalse(dkim.newly_visible())
        self.assertEqual(dkim.EVIDENCE.stat().st_mtime_ns, before)

    def test_stays_on(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual(self.ran, [("systemctl", "enable", "--now", "--quiet", "mailhost-sign.timer")])

    def test_finds_out_again_what_a_volume_without_evidence_does_not_tell(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        dkim.EVIDENCE.unlink()
        self.assertFalse(dkim.newly_visible())
        visible = {"visible": self.clock.now + 1}
        self.assertEqual(dkim.load(), {"example.org": {"s1": visible, "s2": visible}})

    def test_also_looks_at_tls_keys(self):
        with mock.patch.object(tlsa, "look") as look, mock.patch.object(tlsa, "SETTINGS", str(self.base / "tlsa")):
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
        patch = mock.patch.object(dkim, "UNSIGNED", self.base / "volume/unsigned")
        patch.start()
        self.addCleanup(patch.stop)
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
            dkim.warnings([{"name": name, "selector": "s1"} for name in ("example.org", "other.example")]),
            [
                "other.example sends unsigned until all name servers of its zone answer with "
                "s1._domainkey.other.example. Once they do it signs by itself"
            ],
        )

    def test_is_that_which_a_host_without_evidence_signs_with(self):
        self.push(plan({"example.org": "s2"}, "s2", "s3"))
        (dkim.UNSIGNED / "new.example").touch()
        evidence = {"example.org": {"s2": {"from": 1}}}
        folder = "/etc/amavis/dkim"
        paths = ("conf", *(f"{folder}/{name}.pem" for name in ("new.example.s1", "a.b.example.s12", "example.org.s1")))
        dkim.adopt(evidence, dict.fromkeys(paths))
        self.assertEqual(
            evidence, {"example.org": {"s2": {"from": 1}}, "a.b.example": {"s12": {"from": self.clock.now}}}
        )
        # So that its record cannot go yet.
        with self.assertRaisesRegex(Failure, "^s1 of example.net signed until "):
            dkim.check(plan({"example.net": "s2"}, "s2", "s3"), {f"{folder}/example.net.s1.pem": {}})


class Evidence(Signing):
    def test_is_whole_and_everybody_may_read_it(self):
        start = self.clock.now
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=1000))
        key = {"key": dkim.fingerprint("QUFB"), "visible": start + 1}
        signs = {"from": start, "keep": start + 1000, "longest": 1000, "retention": 1000}
        self.assertEqual(dkim.load(), {"example.org": {"s1": key | signs, "s2": key}})
        self.assertEqual({(file["mode"], file["owner"]) for file in self.written}, {("0644", "root:root")})
        self.assertRegex(dkim.EVIDENCE.read_text(), r'^\{\n "example\.org": \{\n  "s1": \{\n   "from": .*\n   "keep": ')

    def test_does_not_change_where_nothing_does(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.asked.clear()
        before = dkim.load()
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual((dkim.load(), self.asked), (before, []))
        self.clock.now += 100
        self.push(plan({"example.org": "s1"}, "s1", "s2"))
        self.assertEqual(dkim.load()["example.org"]["s1"]["from"], before["example.org"]["s1"]["from"])

    def test_takes_no_time_of_a_clock_that_was_ahead(self):
        now = self.clock.now
        dkim.save(
            {
                "example.org": {
                    "s1": {"visible": now + 99, "from": now + 99, "until": now + 99, "longest": 10, "keep": now + 99}
                }
            }
        )
        self.assertEqual(
            dkim.load(),
            {"example.org": {"s1": {"visible": now + 1, "from": now, "until": now, "longest": 10, "keep": now + 10}}},
        )

    def test_has_one_key_of_a_selector_for_good(self):
        self.push(plan({"example.org": "s9"}, "s9", "s10"))
        other = plan({"example.org": "s9"}, "s9", "s10")
        other[dkim.PUBLIC_KEYS]["text"] = other[dkim.PUBLIC_KEYS]["text"].replace("QUFB", "QUFC", 1)
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
        evidence = dkim.noted()
        evidence["example.org"] = {"s0": {"key": "never"}} | evidence["example.org"]
        dkim.EVIDENCE.write_text(json.dumps(evidence))
        with self.assertRaisesRegex(Failure, "^s1 of example.org signed until "):
            self.push(plan({"example.org": "s2"}, "s2", "s3", retention=1000))

    def test_goes_by_the_retention_in_force_where_the_evidence_has_none(self):
        self.push(plan({"example.org": "s1"}, "s1", "s2", retention=9000))
        evidence = dkim.load()
        for entry in evidence["example.org"].values():
            entry.pop("keep", None)
            entry.pop("retention", None)
        evidence["example.org"]["s1"]["until"] = self.clock.now
        dkim.save(evidence)
        self.clock.now += 8999
        with self.assertRaisesRegex(Failure, "s1 of example.org"):
            self.push(plan({"example.org": "s2"}, "s2", "s3", retention=1000))


def dns_of_test(answers, servers):
    """
    What of dnspython is used, which only the host has.

    `answers` has (rcode, flags, records) by address and type; `servers` the IPv4 addresses of each name server.
    """

    def ask(query, address, timeout):
        rcode, flags, records = answers.get((address, query[1]), ("NOERROR", AA, []))
        rrset = SetOfRecords(records)
        rrset.rdtype, rrset.ttl = query[1], 300
        return SimpleNamespace(rcode=lambda: rcode, flags=flags, answer=[rrset]), False

    def resolve(_self, name, kind, raise_on_no_answer=True):
        if kind == "NS":
            return [SimpleNamespace(target=server) for server in servers]
        if not servers[name] and raise_on_no_answer:
            raise DNSException("no answer")
        return servers[name]

    class DNSException(Exception):
        pass

    modules = {
        "exception": {"DNSException": DNSException},
        "flags": {"AA": AA, "to_text": lambda flags: "AA" if flags & AA else ""},
        "message": {"make_query": lambda name, kind: (name, kind)},
        "query": {"udp_with_fallback": ask},
        "rcode": {"NOERROR": "NOERROR", "NXDOMAIN": "NXDOMAIN", "to_text": str},
        "rdatatype": {"from_text": str},
        "resolver": {
            "Resolver": type("Resolver", (), {"__init__": lambda self, configure: None, "resolve": resolve}),
            "zone_for_name": lambda name, resolver: name,
        },
    }
    parts = {f"dns.{name}": SimpleNamespace(**contents) for name, contents in modules.items()}
    top = SimpleNamespace(**{name: parts[f"dns.{name}"] for name in modules})
    return mock.patch.dict(sys.modules, {"dns": top, **parts})


class NameServers(unittest.TestCase):
    soa = ("NOERROR", AA, [SimpleNamespace(minimum=60)])
    right = ("NOERROR", AA, [Text("p=QUFB")])

    servers = {"ns1": ["192.0.2.1"]}

    def look(self, texts, soa=soa, servers=servers):
        answers = {("192.0.2.1", "SOA"): soa} | {("192.0.2.1", "TXT"): texts}
        with dns_of_test(answers, servers):
            return visibility.look("example.org", "s1._domainkey.example.org", "TXT", dkim.are_key("QUFB"))

    def test_say_that_a_record_is_there(self):
        self.assertEqual(self.look(self.right), visibility.Look(negative_ttl=60))

    def test_say_that_it_is_not(self):
        for rcode in ("NOERROR", "NXDOMAIN"):
            seen = self.look((rcode, AA, []))
            self.assertEqual((seen.missing, seen.certain), ("name server ns1 answers nothing instead", True))

    def test_say_nothing_where_they_refuse_or_refer_to_others(self):
        for rcode, flags in (("REFUSED", 0), ("SERVFAIL", 0), ("SERVFAIL", AA), ("NOERROR", 0)):
            seen = self.look((rcode, flags, []))
            self.assertFalse(seen.certain, rcode)
            self.assertIn(rcode, seen.missing)
            answers = {("192.0.2.1", "TLSA"): (rcode, flags, [])}
            with dns_of_test(answers, self.servers), self.assertRaises(Failure):
                visibility.common_answers("example.org", "_25._tcp.example.org", "TLSA")

    def test_must_know_the_zone(self):
        for texts in (self.right, ("NXDOMAIN", AA, [])):
            seen = self.look(texts, soa=("NOERROR", AA, []))
            self.assertEqual(
                (seen.missing, seen.certain), ("name server ns1 does not know the zone example.org", False)
            )

    def test_may_have_an_address_of_ipv6_alone_where_another_has_more(self):
        self.assertIsNone(self.look(self.right, servers={"ns6": [], "ns1": ["192.0.2.1"]}).missing)
        seen = self.look(self.right, servers={"ns6": []})
        self.assertIn("none of ns6 has an IPv4 address", seen.missing)
        self.assertFalse(seen.certain)

    def test_have_one_record_of_a_key(self):
        right, other = Text("v=DKIM1; k=rsa; p=QU", "FB"), Text("v=DKIM1; k=rsa; p=AAAA")
        is_out = dkim.are_key("QUFB")
        self.assertTrue(is_out([right]))
        for records in ([], [other], [right, other], [right, right], [other, right]):
            self.assertFalse(is_out(records), [str(record) for record in records])

    def test_have_it_in_whatever_form(self):
        is_out = dkim.are_key("QUI=")
        for text in (
            "p=QUI=",
            "v=DKIM1;p=QUI=;t=s",
            "v=DKIM1; k=rsa; p = Q\tU I=",
            "n=words; of=no \xe9 interest; p=QUI=",
        ):
            self.assertTrue(is_out([SimpleNamespace(strings=[text.encode("latin1")])]), text)
        for text in ("", "v=DKIM1; p=", "pp=QUI=", "v=DKIM1; k=rsa", "p=QUI"):
            self.assertFalse(is_out([Text(text)]), text)
        self.assertTrue(dkim.are_key("")([Text("v=DKIM1; k=rsa")]))


if __name__ == "__main__":
    unittest.main()
