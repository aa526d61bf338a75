"""What is told of messages that wait."""

import itertools
import os
import time
import unittest

from mailhost import deferred, pauses
from on_host import OnHost

LMTP = '"mail.lmtp: LMTP server error: 451 4.2.0 <{0}> Internal error occurred. [2026-11-30 05:29:{1:02}]"'


class Deferred(OnHost):
    def setUp(self):
        super().setUp()
        self.lines, self.numbers = [], itertools.count()
        self.replace(pauses, QUEUE=self.folder / "queue")
        self.replace(deferred, queue=lambda: self.lines, SMARTHOST=self.folder / "smarthost", SPOOL=self.folder)

    def add(self, action, recipient, reason, hours=0.01, sender="a@x.example"):
        envelope = f"{next(self.numbers):08x}00000000"
        path = pauses.path_of(envelope)
        path.parent.mkdir(parents=True)
        path.write_text(f"version: 3\ndispatcher: {action}\ntype: mta\n")
        since = int(time.time() - hours * 3600)
        self.lines.append(
            f"{envelope}|inet4|mta||{sender}|{recipient}|{recipient}|{since}|{since}|0|3|pending|99|{reason}"
        )

    def test_are_one_finding_for_each_reason_at_the_hosts_own_daemons(self):
        for number in range(30):
            self.add("mailbox", f"u{number}@example.org", LMTP.format(f"u{number}@example.org", number))
        self.add("mailbox", "b@example.org", "452 4.2.2 <b@example.org> Quota exceeded (mailbox for user is full)")
        self.add("scan", "c@example.org", "Network error on destination MXs")
        self.add("sign", "d@remote.example", "Network error on destination MXs")
        found = [*deferred.warnings()]
        self.assertRegex(
            found[0],
            "^30 messages wait for Dovecot since .*: mail.lmtp: LMTP server error: 451 4.2.0 .*smtpctl show queue$",
        )
        self.assertEqual(len(found), 3)
        self.assertRegex("\n".join(found), "1 message waits for Dovecot since .*Quota exceeded")
        self.assertRegex("\n".join(found), "2 messages wait for amavis since .*: Network error on destination MXs")
        self.assertEqual(deferred.ordinary(), [])

    def test_for_others_are_no_finding_before_their_senders_are_told(self):
        self.add("outbound", "a@dead.example", "Connection timeout", hours=3.9)
        self.add("forward", "a@other.example", "421 4.7.0 Try again")
        self.assertEqual([*deferred.warnings()], [])
        self.assertRegex(
            "\n".join(deferred.ordinary()),
            "for dead.example since .*: Connection timeout\n.* other.example .*: 421 4.7.0",
        )
        self.lines = []
        self.add("outbound", "a@late.example", "Connection timeout", hours=4.1)
        self.assertRegex(
            "\n".join(deferred.warnings()), "^1 message waits for late.example since .*: Connection timeout"
        )

    def test_at_the_smarthost_are_findings_at_once(self):
        deferred.SMARTHOST.touch()
        self.add("outbound", "a@one.example", "535 login refused")
        self.add("outbound", "a@two.example", "535 login refused")
        self.assertRegex(
            "\n".join(deferred.warnings()), "^2 messages wait for the smarthost since .*: 535 login refused"
        )

    def test_that_are_new_or_on_their_way_are_nothing(self):
        self.add("mailbox", "a@example.org", "")
        self.assertEqual(([*deferred.warnings()], deferred.ordinary()), ([], []))
        self.add("mailbox", "a@example.org", "", hours=1.1)
        self.assertRegex("\n".join(deferred.warnings()), "^1 message waits for Dovecot since .*: it was not tried yet")

    def test_are_told_apart_whatever_stands_in_their_addresses(self):
        self.add("outbound", 'x|1@y|2"@dead.example', "Connection | refused", sender="a|b|c@x.example")
        self.assertRegex("\n".join(deferred.ordinary()), "for dead.example since .*: Connection . refused$")

    def test_are_not_a_screen_full(self):
        for number in range(40):
            self.add("outbound", f"a@d{number}.example", "Connection timeout", hours=100)
        found = [*deferred.warnings()]
        self.assertEqual(len(found), 11)
        self.assertRegex(found[-1], "30 other reasons")

    def test_that_nothing_can_read_or_send_are_findings(self):
        for folder, hours in (("corrupt", 0), ("offline", 2)):
            (self.folder / folder).mkdir()
            path = self.folder / folder / "1796.abc"
            path.touch()
            os.utime(path, (time.time() - hours * 3600,) * 2)
        found = "\n".join(deferred.warnings())
        self.assertRegex(found, "cannot read these messages: .*/corrupt/1796.abc")
        self.assertRegex(found, "while OpenSMTPD was down.*/offline/1796.abc")


if __name__ == "__main__":
    unittest.main()
