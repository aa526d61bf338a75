"""What name servers say of a record, and what they do not."""

import sys
import unittest
from types import SimpleNamespace
from unittest import mock

from mailhost import dkim, visibility
from mailhost.failure import Failure
from signing import Text

#: Of an authoritative answer.
AA = 0x0400


class SetOfRecords(list):
    """With the attributes of an RRset."""


def dns_of_test(answers, servers):
    """
    What of dnspython is used, which only the host has.

    `answers` has (rcode, flags, records) by address and type, or by these and the name; `servers` the IPv4 addresses of each
    name server.
    """

    def ask(query, address, timeout):
        name, kind = query
        nothing = ("NOERROR", AA, [])
        rcode, flags, records = answers.get((address, kind, name)) or answers.get((address, kind), nothing)
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
        return self.look_of({("192.0.2.1", "SOA"): soa} | {("192.0.2.1", "TXT"): texts}, servers)

    def look_of(self, answers, servers=servers):
        with dns_of_test(answers, servers):
            name = "s1._domainkey.example.org"
            return visibility.look(visibility.Query("example.org", name, "TXT", dkim.are_key("QUFB")))

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

    def test_may_have_an_alias_that_leads_to_the_record(self):
        name, target = "s1._domainkey.example.org", "key.example.net."
        alias = ("NOERROR", AA, [SimpleNamespace(target=target)])
        answers = {
            ("192.0.2.1", "SOA"): self.soa,
            ("192.0.2.1", "CNAME", name): alias,
            ("192.0.2.1", "TXT", target): self.right,
        }
        self.assertIsNone(self.look_of(answers).missing)
        answers["192.0.2.1", "TXT", target] = ("NOERROR", AA, [Text("p=AAAA")])
        self.assertIn("p=AAAA", self.look_of(answers).missing)
        answers["192.0.2.1", "TXT", target] = ("SERVFAIL", 0, [])
        self.assertFalse(self.look_of(answers).certain)
        # One that leads back to itself has no record.
        answers["192.0.2.1", "CNAME", target] = alias
        answers["192.0.2.1", "TXT", target] = ("NOERROR", AA, [])
        seen = self.look_of(answers)
        self.assertEqual((seen.missing, seen.certain), ("name server ns1 answers nothing instead", True))

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
