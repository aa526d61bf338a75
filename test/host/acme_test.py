"""Renewal, by a CA and daemons that do what the test says."""

import contextlib
import dataclasses
import fcntl
import io
import itertools
import json
import os
import pathlib
import stat
import time
import unittest
from unittest import mock

from made_certificates import HOST, KEY, OTHER_KEY, chain_of, pem
from mailhost import acme, certificates, commands
from mailhost.failure import Failure
from on_host import OnHost

DIRECTORY = "https://ca.example/dir"


class Renewal(OnHost):
    def setUp(self):
        super().setUp()
        root = self.folder / "acme"
        root.mkdir()
        self.replace(
            acme, SETTINGS=self.folder / "certificates.json", ROOT=root, STATE=root / "state.json", LOCK=str(self.folder / "lock"),
            host_alone=self.alone, host_name=lambda: HOST, reactivate=self.reactivate, certbot=self.certbot,
            check_addresses=lambda names: None, wanted=list, notify_postmaster=self.notify,
        )  # fmt: skip
        self.replace(certificates, STORE=root / "certificates", FRESH=root / "fresh")
        self.key = self.folder / "key.pem"
        self.key.write_text(pem(KEY))
        self.wants(HOST, "example.org")
        self.asked, self.served, self.sent = [], [], []
        self.taken_alone = 0
        self.issues = chain_of
        self.serves = lambda: None

    def wants(self, *names, directory=DIRECTORY):
        wanted = {
            name: {"names": [name], "request": f"/requests/{name}.pem", "privateKey": str(self.key)} for name in names
        }
        acme.SETTINGS.write_text(
            json.dumps({"directory": directory, "contact": "a@example.org", "certificates": wanted})
        )

    @contextlib.contextmanager
    def alone(self):
        self.taken_alone += 1
        yield

    def certbot(self, *arguments, directory):
        given = dict(itertools.pairwise(arguments))
        name = pathlib.Path(given["--csr"]).stem
        self.asked.append(name)
        pathlib.Path(given["--fullchain-path"]).write_text(self.issues([name]))

    def reactivate(self, daemon, names):
        self.serves()
        self.served += sorted(names)
        return daemon.name

    def notify(self, subject, text):
        self.sent.append(f"Subject: {subject}\n{text}")

    def raises(self, error):
        def does(*_, **__):
            raise error

        return does

    def renew(self, *forced, of_up=False):
        """Gives what it prints, and the failure that it ends with."""
        self.asked, self.served = [], []
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                acme.renew(list(forced), of_up)
            except Failure as failure:
                print(f"failed: {failure}")
        return out.getvalue()

    def entry(self, **changes):
        """The state has this for the host's certificate."""
        entry = {"since": time.time(), "failures": 1, "error": "no", "next": 0} | changes
        acme.STATE.write_text(json.dumps({HOST: entry}))

    def test_serves_what_is_due_and_then_leaves_the_host_alone(self):
        self.renew()
        self.assertEqual(self.served, [HOST, "example.org"])
        self.assertEqual(self.renew(), "")
        self.assertEqual((self.asked, self.served, self.taken_alone), ([], [], 1))

    def test_lets_no_other_look_at_what_it_serves(self):
        def is_alone():
            with open(acme.LOCK) as lock, self.assertRaises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

        self.serves = is_alone
        self.renew()
        self.assertEqual(self.served, [HOST, "example.org"])
        self.assertEqual(acme.state(), {})

    def test_keeps_keys_from_others_and_no_longer_than_they_are_asked_for(self):
        self.renew()
        modes = [
            stat.S_IMODE(os.stat(path).st_mode)
            for path in (certificates.STORE, certificates.path_in(certificates.STORE, HOST))
        ]
        self.assertEqual(modes, [0o700, 0o600])
        certificates.store("example.org", certificates.issued("example.org"))
        self.wants(HOST)
        self.renew()
        left = [path.name for folder in (certificates.STORE, certificates.FRESH) for path in folder.iterdir()]
        self.assertEqual(left, [f"{HOST}.json"])

    def test_asks_again_where_another_ca_or_key_is_wanted(self):
        self.renew()
        self.wants(HOST, "example.org", directory="https://other.example/dir")
        self.renew()
        self.assertEqual(self.asked, [HOST, "example.org"])
        self.assertEqual(certificates.issued(HOST).directory, "https://other.example/dir")
        self.key.write_text(pem(OTHER_KEY))
        self.assertIn("does not belong", self.renew())

    def test_asks_at_once_for_the_ones_that_are_named_first(self):
        self.renew()
        self.renew("example.org")
        self.assertEqual(self.asked, ["example.org"])
        self.assertIn("failed: no certificate is called x", self.renew("x"))

    def test_asks_for_200_domains_by_and_by_the_named_one_first(self):
        domains = [f"d{number}.example" for number in range(200)]
        self.wants(HOST, *domains)
        self.renew(domains[-1])
        self.assertEqual(self.asked, [domains[-1], HOST, *domains[:13]])
        runs = [len(self.asked)]
        while self.asked:
            self.renew()
            runs.append(len(self.asked))
        self.assertEqual(runs, [15] * 13 + [6, 0])
        self.assertEqual(len(list(certificates.STORE.iterdir())), 201)

    def test_waits_longer_after_each_failure(self):
        waits = []
        for _ in range(7):
            acme.remember(HOST, Failure("no"))
            waits.append(round((acme.state()[HOST].next - time.time()) / 60))
        self.assertEqual(waits, [15, 30, 60, 120, 240, 360, 360])
        self.renew()
        self.assertEqual(self.asked, ["example.org"])

    def test_waits_for_no_time_that_a_wrong_clock_has_told(self):
        self.entry(next=time.time() + 365 * certificates.DAY, since=time.time() + 365 * certificates.DAY)
        self.issues = self.raises(Failure("refused"))
        self.renew()
        self.assertIn(HOST, self.asked)
        self.assertLessEqual(acme.state()[HOST].since, time.time())

    def test_tells_the_postmaster_once_a_day_whatever_a_wrong_clock_has_told(self):
        self.issues = self.raises(Failure("refused"))
        self.entry(since=time.time() - 2 * certificates.DAY)
        self.renew()
        self.renew()
        self.assertEqual(len(self.sent), 1)
        self.assertRegex(self.sent[0], "Subject: Certificates of mail.example.org\n(.*\n)*.*refused")
        ahead = time.time() + 365 * certificates.DAY
        os.utime(acme.ROOT / "notified", (ahead, ahead))
        self.renew()
        self.assertEqual(len(self.sent), 2)

    def test_keeps_a_certificate_whose_time_is_still_to_come(self):
        self.issues = lambda names: chain_of(names, start=3)
        self.assertRegex(self.renew(), "valid only from .* is the clock of this machine right")
        self.assertEqual(self.served, [])
        acme.STATE.unlink()
        self.replace(certificates, check_dates=lambda chain: None)
        self.renew()
        self.assertEqual((self.asked, self.served), ([], [HOST, "example.org"]))

    def test_serves_later_what_no_daemon_would_serve(self):
        self.serves = self.raises(Failure("port 25 serves another"))
        self.assertIn(
            f"{HOST} has no certificate of the CA yet, and is served with the stack's own: port 25", self.renew()
        )
        self.renew()
        self.assertEqual(self.asked, [])
        self.serves = lambda: None
        acme.STATE.unlink()
        self.renew()
        self.assertEqual((self.asked, self.served), ([], [HOST, "example.org"]))

    def test_warns_of_one_that_ends_soon_and_was_not_renewed(self):
        self.renew()
        with mock.patch.object(certificates, "FRESH", certificates.STORE):
            certificates.store(
                HOST, dataclasses.replace(certificates.issued(HOST), chain=chain_of([HOST], start=-70, end=20))
            )
        (found,) = acme.warnings()
        self.assertRegex(found, f"{HOST} ends on .*, and was not renewed: journalctl")

    def test_warns_of_one_of_the_stack_or_of_somebody_else_that_ends_soon_and_tells_the_postmaster(self):
        acme.SETTINGS.unlink()
        self.replace(certificates, CHAIN=str(self.folder / "fullchain.pem"))
        for left, count in ((22, 0), (20, 1)):
            pathlib.Path(certificates.CHAIN).write_text(chain_of([HOST], start=left - 90, end=left))
            self.assertEqual(len(acme.warnings()), count, left)
            acme.notify(acme.warnings())
            self.assertEqual(len(self.sent), count, left)
        self.assertRegex(self.sent[0], "Run `pulumi up`")

    def test_lets_an_up_go_on_where_the_ca_gives_no_account(self):
        for error in (Failure("refused"), OSError("unreachable")):
            self.replace(acme, account=self.raises(error))
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as told:
                commands.run_account(mock.Mock(directory=DIRECTORY, contact="a@example.org"))
            self.assertEqual(out.getvalue(), "{}\n")
            self.assertIn(f"WARNING: no account at the CA yet: {error}", told.getvalue())

    def test_loses_nothing_on_a_full_disk(self):
        self.renew()
        served = certificates.issued(HOST)
        full = self.raises(OSError(28, "No space left on device"))
        self.replace(acme, put_private=full)
        self.replace(certificates, put_private=full)
        self.assertIn(
            "WARNING: certificates cannot be renewed now: [Errno 28] No space left on device", self.renew(HOST)
        )
        self.assertEqual(certificates.issued(HOST), served)

    def test_goes_on_with_a_damaged_state_or_mail_that_cannot_be_sent(self):
        acme.STATE.write_text('{"mail.exam')
        self.assertEqual(self.renew().count("the CA has issued"), 2)
        self.entry(since=time.time() - 2 * certificates.DAY, next=time.time() + 60)
        self.replace(acme, notify_postmaster=self.raises(Failure("sendmail failed")))
        self.assertIn("WARNING: the postmaster cannot be told of it: sendmail failed", self.renew())
        self.replace(acme, locked=self.raises(Failure("gave up after 900 s")))
        self.assertIn("WARNING: certificates cannot be renewed now: gave up", self.renew(HOST))

    def test_fails_where_a_named_certificate_is_not_served_and_says_why(self):
        def refuse(names):
            raise Failure("the CA refuses")

        serves, no_lock = self.raises(Failure("port 25 serves another")), self.raises(Failure("gave up after 900 s"))
        not_yet = lambda names: chain_of(names, start=3)  # noqa: E731
        elsewhere = self.raises(Failure("has no address in DNS"))
        for words, module, others in (
            ("the CA refuses", self, {"issues": refuse}),
            ("valid only from", self, {"issues": not_yet}),
            ("no end after 300 s", self, {"issues": self.raises(acme.Hanging("no end after 300 s"))}),
            ("port 25 serves another", self, {"serves": serves}),
            ("has no address in DNS", acme, {"check_addresses": elsewhere}),
            ("gave up after 900 s", acme, {"locked": no_lock}),
            ("gave up after 900 s", acme, {"host_alone": no_lock}),
        ):
            with self.subTest(words, **others), contextlib.ExitStack() as patches:
                for name, other in others.items():
                    patches.enter_context(mock.patch.object(module, name, other))
                said = self.renew(HOST)
                self.assertRegex(said, f"failed: not renewed.*\n- {HOST}: .*{words}")
                self.assertIn(words, self.renew(HOST, "example.org"))

    def test_fails_for_one_of_two_that_are_named_and_serves_the_other(self):
        self.issues = lambda names: chain_of(names) if names == [HOST] else self.raises(Failure("the CA refuses"))()
        self.assertRegex(self.renew(HOST, "example.org"), "failed: .*\n- example.org: the CA refuses\n$")
        self.assertEqual(self.served, [HOST])

    def test_fails_for_those_named_whose_turn_is_later(self):
        names = [f"d{number}.example" for number in range(16)]
        self.wants(HOST, *names)
        self.assertRegex(self.renew(*names), "failed: .*\n- d15.example: its turn comes in a later run.*\n$")

    def test_fails_for_a_name_where_another_issues_the_certificates(self):
        acme.SETTINGS.unlink()
        self.assertIn("failed: the host gets no certificates by ACME", self.renew(HOST))

    def test_fails_as_a_unit_where_no_renewal_is_possible_but_stops_no_up(self):
        self.replace(acme, locked=self.raises(OSError(28, "No space left on device")))
        self.assertIn("failed: certificates cannot be renewed now: [Errno 28]", self.renew())
        self.assertNotIn("failed:", self.renew(of_up=True))

    def test_fails_as_a_unit_for_nothing_that_the_next_run_tries_again(self):
        self.issues = self.raises(Failure("the CA refuses"))
        self.assertNotIn("failed:", self.renew())

    def test_asks_a_ca_that_hangs_once_in_a_run(self):
        self.issues = self.raises(acme.Hanging("no end after 300 s"))
        self.assertIn("no end after 300 s", self.renew())
        self.assertEqual(self.asked, [HOST])

    def test_asks_no_more_where_names_lead_elsewhere_and_looks_again_in_the_next_run(self):
        self.replace(acme, check_addresses=self.raises(Failure("has no address in DNS")))
        self.assertIn("has no address in DNS", self.renew())
        self.assertEqual(self.asked, [])
        self.replace(acme, check_addresses=lambda names: None)
        self.renew()
        self.assertEqual(self.served, [HOST, "example.org"])


if __name__ == "__main__":
    unittest.main()
