"""What the host reports to `mailhost doctor`."""

import email.message
import socket
import time
import unittest

from documents_test import SCHEMA
from mailhost import check, deferred, doctor, system
from mailhost.failure import Failure
from on_host import OnHost

MAIL = check.Mail("mail.example.org", (check.Domain("example.org", "s1"),))
#: What fail2ban and doveadm print.
STATUS = "Status\n|- Number of jail:\t2\n`- Jail list:\t{0}\n"
QUOTA = "Username\tQuota name\tType\tValue\tLimit\t%\n{0}"


def nothing(*_):
    return []


class Doctor(OnHost):
    """A host that is well, but for what the test says."""

    def setUp(self):
        super().setUp()
        self.groups, self.sent = [], []
        self.probe = email.message.Message()
        self.probe["X-Spam-Flag"] = "YES"
        self.answers = {
            "fail2ban-client": STATUS.format("mailhost, mailhost-known"),
            "doveadm": QUOTA.format("anna@example.org\tUser quota\tSTORAGE\t94\t100\t94\n"),
            "journalctl": "",
        }
        for name, text in (
            ("meminfo", "MemTotal:       4000000 kB\nMemAvailable:    200000 kB\n"),
            ("pressure", "some avg10=90.00 avg300=90.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=10.00 total=1\n"),
            ("jail.local", "[DEFAULT]\nfindtime = 10m\nlog = %(x)s\n[sshd]\nmode = x\n[mailhost]\nenabled = true\n[mailhost-known]\nenabled = true\n"),
            ("drift-accepted", "accepted\n"),
        ):  # fmt: skip
            (self.folder / name).write_text(text)
        self.replace(
            doctor, MEMORY=self.folder / "meminfo", PRESSURE=self.folder / "pressure", JAILS=self.folder / "jail.local",
            ACCEPTED=self.folder / "drift-accepted", HOST_LOCK=str(self.folder / "lock"), is_active=lambda unit: True,
            run=lambda *command: self.answers[command[0]],
        )  # fmt: skip
        self.replace(doctor.deferred, groups=lambda: self.groups, SMARTHOST=self.folder / "smarthost")
        self.replace(doctor.pauses, by_operator=set, warnings=nothing)
        self.replace(
            doctor.check, send_spam_probe=lambda: self.sent.append(1), arrived=self.arrived, signing_probes=nothing,
            unconnected=lambda: None,
        )  # fmt: skip
        kept = {"port-25-blocked", "quota-full", "memory-low", "scan-slow", "drift", "bans-missing"}
        self.replace(
            doctor, LOOKS={code: look if code in kept else nothing for code, look in doctor.LOOKS.items()},
        )  # fmt: skip
        self.replace(doctor.drift, content=lambda: iter(["accepted"]))

    def arrived(self, _subject, seconds):
        self.assertLessEqual(seconds, 15)
        if self.probe is None:
            raise Failure("gave up")
        return self.probe

    def found(self, *codes):
        found = doctor.examine(MAIL)
        self.assertEqual([finding.code for finding in found], [*codes])
        return " | ".join(finding.evidence for finding in found)

    def wait(self, place, reason, hours=0.1, is_own=False):
        self.groups.append(deferred.Group(place, reason, 2, time.time() - hours * 3600, is_own))

    def test_has_the_codes_of_the_schema(self):
        items = SCHEMA["$defs"]["findings"]["items"]
        self.assertEqual(sorted(items["properties"]["code"]["enum"]), sorted(doctor.CODES))

    def test_finds_nothing_on_a_host_that_is_well(self):
        self.found()
        self.assertEqual(self.sent, [1])

    def test_names_each_fault_and_nothing_else(self):
        for name, text, code, words in (
            ("meminfo", "MemTotal: 4000000 kB\nMemAvailable: 199999 kB\n", "memory-low", "5% of 3906 MB"),
            ("pressure", "full avg10=0.00 avg60=0.00 avg300=10.01 total=1\n", "memory-low", "10.01 %"),
        ):
            with self.subTest(code=code):
                before = (self.folder / name).read_text()
                (self.folder / name).write_text(text)
                self.assertIn(words, self.found(code))
                (self.folder / name).write_text(before)
        for command, answer, code, words in (
            ("fail2ban-client", STATUS.format("mailhost"), "bans-missing", "these jails do not run: mailhost-known"),
            ("fail2ban-client", STATUS.format(""), "bans-missing", "mailhost, mailhost-known"),
            ("doveadm", QUOTA.format("anna@example.org\tUser quota\tSTORAGE\t95\t100\t95\n"), "quota-full",
             "anna@example.org: 95 % (95 of 100 kB)"),
            ("journalctl", "(1) Passed CLEAN, Hits: 0, 10001 ms\n" * 5, "scan-slow", "half of the 5 messages"),
        ):  # fmt: skip
            with self.subTest(code=code):
                before = self.answers[command]
                self.answers[command] = answer
                self.assertIn(words, self.found(code))
                self.answers[command] = before
        # One message that took long is none, nor is a quota without a limit.
        self.answers["journalctl"] = "(1) Passed CLEAN, Hits: 0, 90001 ms\n" * 4
        self.answers["doveadm"] = QUOTA.format("anna@example.org\tUser quota\tSTORAGE\t94\t-\t0\n")
        self.found()

    def test_tells_whether_port_25_is_blocked_unless_mail_leaves_by_another(self):
        self.replace(doctor.check, unconnected=lambda: TimeoutError("timed out"))
        self.assertRegex(self.found("port-25-blocked"), "google.com: timed out")
        (self.folder / "smarthost").touch()
        self.found()
        (self.folder / "smarthost").unlink()

        def unknown():
            raise socket.gaierror(-2, "Name or service not known")

        self.replace(doctor.check, unconnected=unknown)
        self.assertIn("port-25-blocked: ", self.found("check-failed"))

    def test_names_what_differs_unless_it_is_accepted(self):
        self.replace(doctor.drift, content=lambda: iter(["accepted", "dovecot: /etc/dovecot/x has another text"]))
        self.assertIn("has another text", self.found("drift"))

    def test_tells_a_look_that_fails_and_goes_on(self):
        def fails(_):
            raise Failure("doveadm failed")

        self.replace(doctor, LOOKS={**doctor.LOOKS, "quota-full": fails})
        self.assertEqual(self.found("check-failed"), "quota-full: doveadm failed")

    def test_sends_no_probe_while_a_service_is_stopped_or_mail_is_paused(self):
        self.replace(doctor, LOOKS={**doctor.LOOKS, "service-stopped": lambda _: ["service amavis does not run"]})
        self.found("service-stopped")
        self.replace(doctor, LOOKS={**doctor.LOOKS, "service-stopped": nothing})
        self.replace(doctor.pauses, by_operator=lambda: {"mda"})
        self.found()
        self.assertEqual(self.sent, [])

    def test_tells_what_becomes_of_the_probes(self):
        self.replace(doctor.check, signing_probes=lambda *_: iter(["example.org: not signed"]))
        self.found("mail-not-signed")
        self.probe = email.message.Message()
        self.found("spam-not-marked", "mail-not-signed")
        self.probe = None
        self.assertIn("within 15 s", self.found("mail-not-delivered"))

    def test_refuses_while_the_host_is_changed(self):
        self.replace(doctor, holder=lambda path: "4711")
        with self.assertRaisesRegex(Failure, "being changed by process 4711"):
            doctor.examine(MAIL)

    def test_tells_why_messages_wait(self):
        for reason, hours, code in (
            ("421 4.7.28 [10.88.0.10] Our system has detected an unusual rate of unsolicited mail - gsmtp", 0.1, "queue-throttled"),
            ("451 4.7.650 The mail server [10.88.0.10] has been temporarily rate limited due to IP reputation.", 0.1, "queue-throttled"),
            ("421 4.7.0 [TSS04] Messages from 10.88.0.10 temporarily deferred", 0.1, "queue-throttled"),
            ("450 4.7.1 Service unavailable; client host [10.88.0.10] blocked using zen.spamhaus.org", 0.1, "queue-listed"),
            ("451 4.7.1 Greylisting in action, please come back later", 0.1, None),
            ("451 4.7.1 Greylisting in action, please come back later", 4.1, "queue-waiting"),
            ("450 4.2.0 try again", 3.9, None),
            ("450 4.2.0 try again", 4.1, "queue-waiting"),
        ):  # fmt: skip
            with self.subTest(reason=reason, hours=hours):
                self.groups = []
                self.wait("remote.example", reason, hours)
                self.found(*([code] if code else []))
        self.groups = []
        self.wait("amavis", "Connection refused", is_own=True)
        self.assertIn("2 messages wait for amavis", self.found("queue-own"))

    def test_tells_a_blocked_port_from_a_receiver_that_is_down(self):
        for place in ("a.example", "b.example"):
            self.wait(place, "Network error on destination MXs")
        self.found()
        self.wait("c.example", "Connection timeout")
        self.wait("d.example", "450 4.2.0 try again")
        self.assertIn("to a.example, b.example, c.example: Network error", self.found("queue-blocked"))


class Holder(OnHost):
    def test_is_the_process_that_has_the_lock(self):
        path = str(self.folder / "lock")
        self.assertIsNone(doctor.holder(path))
        with system.locked(path):
            self.assertRegex(doctor.holder(path), r"^\d+$")
        self.assertIsNone(doctor.holder(path))


if __name__ == "__main__":
    unittest.main()
