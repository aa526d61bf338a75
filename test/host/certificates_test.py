"""Which certificates can be served, and which are."""

import pathlib
import unittest
from unittest import mock

from made_certificates import BY_CA, CA, HOST, KEY, OTHER_KEY, chain_of, issued, new_key, pem
from mailhost import certificates
from mailhost.daemons import tls
from mailhost.failure import Failure
from mailhost.files import File
from on_host import OnHost


class Pairs(unittest.TestCase):
    def refused(self, chain, key, words):
        with self.assertRaisesRegex(Failure, words):
            certificates.check_pair(chain, pem(key), [HOST])

    def test_are_right_where_the_key_belongs_to_the_certificate_and_its_issuer_follows(self):
        certificates.check_pair(chain_of([HOST, "other.example"]), pem(KEY), [HOST])

    def test_are_refused_where_no_client_would_take_them(self):
        between_key = new_key()
        between = issued(between_key, [], name="between", by=BY_CA)
        leaf = issued(KEY, [HOST], by=("between", between_key))
        certificates.check_pair(leaf + between, pem(KEY), [HOST])
        self.refused(leaf + between, OTHER_KEY, "does not belong")
        self.refused(leaf + CA + between, KEY, "out of order at CN=ca")
        self.refused(leaf + CA, KEY, "out of order at CN=ca")
        self.refused(leaf, KEY, "lacks the issuer, CN=between")
        self.refused(chain_of(["other.example"]), KEY, f"is not for {HOST}")
        self.refused(leaf.replace("A", "!"), KEY, "damaged")

    def test_are_refused_before_their_time_and_after(self):
        for start, end, words in ((1, 90, "valid only from .* is the clock"), (-90, -1, "ended on")):
            with self.assertRaisesRegex(Failure, words):
                certificates.check_dates(chain_of([HOST], start=start, end=end))

    def test_are_due_in_the_last_third_and_warned_of_in_the_last_21_of_90_days(self):
        for days, left, due, soon in ((90, 31, False, False), (90, 29, True, False), (90, 20, True, True), (6, 1.5, True, False),
                                      (6, 1.3, True, True), (397, 22, True, False), (397, 20, True, True)):  # fmt: skip
            chain = chain_of([HOST], start=left - days, end=left)
            self.assertEqual((certificates.is_due(chain), certificates.ends_soon(chain)), (due, soon), (days, left))


class Served(OnHost):
    def setUp(self):
        super().setUp()
        self.replace(certificates, STORE=self.folder, FRESH=self.folder / "fresh", KEY=str(self.folder / "privkey.pem"))
        self.replace(tls, host_name=lambda: HOST)
        self.ones = {
            name: certificates.Pair(issued(key, [HOST]), pem(key)) for name, key in (("own", KEY), ("old", OTHER_KEY))
        }
        own = self.ones["own"]
        self.files = {
            certificates.OWN_CHAIN: File("0644", "root:root", own.chain),
            certificates.OWN_KEY: File("0600", "root:root", own.key),
        }

    def taken(self, stored, served):
        """What is served, where one is stored and the key of another was served."""
        with mock.patch.object(certificates, "FRESH", self.folder):
            certificates.store(HOST, self.ones[stored])
        if served:
            pathlib.Path(certificates.KEY).write_text(self.ones[served].key)
        files = tls.Tls().completed(self.files)
        return next(name for name, pair in self.ones.items() if files[certificates.KEY].text == pair.key)

    def test_is_what_the_ca_has_issued_also_for_the_last_key_until_there_is_one_for_the_next(self):
        self.assertEqual(self.taken("old", None), "old")
        self.assertEqual(self.taken("old", "old"), "old")

    def test_is_the_own_where_the_last_key_has_been_given_up_since(self):
        self.assertEqual(self.taken("old", "own"), "own")


if __name__ == "__main__":
    unittest.main()
