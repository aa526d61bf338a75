"""What the postmaster is told of units that fail, by a systemd that does what the test says."""

import contextlib
import io
import json
import time
import types
import unittest
from unittest import mock

from mailhost import backup, failures, notices, pauses
from mailhost.failure import Failure
from on_host import OnHost


class Units(OnHost):
    """Units that fail and succeed as the test says."""

    def setUp(self):
        super().setUp()
        self.states, self.invocations, self.restarts, self.succeeded = {}, {}, {}, set()
        self.sent, self.time = [], time.time()
        self.replace(
            failures, ENTRIES=self.folder / "failures.json", RESTARTS=self.folder / "restarts.json", LOCK=str(self.folder / "lock"),
            HOST_LOCK=str(self.folder / "host"), run=self.run_command, notify_postmaster=self.notify, host_name=lambda: "mail.example.org",
            succeeded_since=lambda unit, since: unit in self.succeeded, wanted=lambda: [types.SimpleNamespace(unit="opensmtpd")],
            put_private=lambda path, text: path.write_text(text), time=mock.Mock(wraps=time, time=lambda: self.time), TELL={},
        )  # fmt: skip

        self.noted = []
        self.replace(pauses, note=lambda: self.noted.append(1))

    def notify(self, subject, text):
        self.sent.append((subject, text))

    def run_command(self, *command):
        if command[:2] == ("systemctl", "list-units"):
            return json.dumps([{"unit": unit} for unit, state in self.states.items() if state == "failed"])
        if command[:2] == ("systemctl", "show"):
            unit = command[-1]
            known = {"InvocationID": self.invocations.get(unit, ""), "ActiveState": self.states.get(unit, "inactive"),
                     "NRestarts": str(self.restarts.get(unit, 0))}  # fmt: skip
            return f"{known[command[3]]}\n"
        return "channel failed\n"

    def fails(self, unit):
        self.states[unit] = "failed"
        self.invocations[unit] = f"{unit} {time.monotonic()}"
        self.succeeded.discard(unit)

    def succeeds(self, unit):
        self.states[unit] = "inactive"
        self.succeeded.add(unit)

    def report(self):
        """Gives the subjects of what was mailed."""
        self.sent.clear()
        with contextlib.redirect_stdout(io.StringIO()) as self.said:
            failures.report()
        return [subject for subject, _ in self.sent]

    RULES = "spamassassin-maintenance.service"
    SUBJECT = f"{RULES} failed on mail.example.org"

    def test_that_run_well_are_nothing(self):
        self.assertEqual((self.report(), failures.warnings()), ([], []))
        self.assertFalse(failures.ENTRIES.exists())
        # What an operator has paused is noted with each report.
        self.assertEqual(self.noted, [1])

    def test_are_mailed_once_for_all_failures_in_a_row_and_again_after_a_success(self):
        self.fails(self.RULES)
        self.assertEqual(self.report(), [self.SUBJECT])
        self.assertRegex(self.sent[0][1] if self.sent else "", f"{self.RULES} failed on .*channel failed")
        for _ in range(3):
            self.assertEqual(self.report(), [])
            # The next day it is tried again.
            self.states[self.RULES] = "activating"
            self.assertEqual(self.report(), [])
            self.fails(self.RULES)
            self.assertEqual(self.report(), [])
        self.assertRegex(
            failures.warnings()[0],
            f"{self.RULES} failed on .*, 4 times since .*channel failed. See: journalctl --unit {self.RULES}",
        )
        self.succeeds(self.RULES)
        self.assertEqual(self.report(), [])
        self.fails(self.RULES)
        self.assertEqual(self.report(), [self.SUBJECT])

    def test_are_mailed_again_after_a_success_that_no_look_has_seen(self):
        self.fails(self.RULES)
        self.report()
        self.succeeds(self.RULES)
        self.states[self.RULES], self.invocations[self.RULES] = "failed", "another"
        self.assertEqual(self.report(), [self.SUBJECT])

    def test_that_fail_and_succeed_by_turns_are_no_flood(self):
        number = 0
        for _ in range(288):
            self.fails(self.RULES)
            number += len(self.report())
            self.succeeds(self.RULES)
            number += len(self.report())
            self.time += 300
        self.assertLessEqual(number, 4)
        self.assertGreaterEqual(number, 3)

    def test_of_one_moment_are_one_mail(self):
        for unit in (self.RULES, "logrotate.service", "srv-mailhost.mount"):
            self.fails(unit)
        units = ("logrotate.service", self.RULES, "srv-mailhost.mount")
        self.assertEqual(self.report(), [f"{', '.join(units)} failed on mail.example.org"])
        for unit in units:
            self.assertIn(f"{unit} failed on", self.sent[0][1])

    def test_are_mailed_later_where_they_cannot_be_now_also_once_they_run_well(self):
        self.fails(self.RULES)
        for error in (Failure("sendmail failed"), FileNotFoundError("/usr/sbin/sendmail")):
            with mock.patch.object(failures, "notify_postmaster", mock.Mock(side_effect=error)):
                self.report()
            self.assertIn(f"WARNING: the postmaster cannot be told that {self.RULES} failed", self.said.getvalue())
        self.succeeds(self.RULES)
        failures.warnings()
        self.assertEqual(self.report(), [self.SUBJECT])
        self.assertIn("runs well again", self.sent[0][1])
        self.assertEqual(self.report(), [])

    def test_are_named_by_the_check_while_they_fail_and_once_after(self):
        self.fails(self.RULES)
        for _ in range(2):
            self.assertEqual(len(failures.warnings()), 1)
        self.succeeds(self.RULES)
        # It was named already.
        self.assertEqual(failures.warnings(), [])
        self.fails(self.RULES)
        self.report()
        self.succeeds(self.RULES)
        self.report()
        self.assertRegex(failures.warnings()[0], "failed on .*, and runs well again: channel failed")
        self.assertEqual(failures.warnings(), [])

    def test_that_systemd_starts_again_have_failed_too(self):
        self.states["opensmtpd.service"] = "active"
        self.restarts["opensmtpd.service"] = 2
        self.assertEqual(self.report(), ["opensmtpd.service failed on mail.example.org"])
        self.assertRegex(
            failures.warnings()[0], "opensmtpd.service failed on .*, 2 times since .*, and runs well again"
        )
        self.assertEqual((self.report(), failures.warnings()), ([], []))
        # A push or an operator has started it.
        self.restarts["opensmtpd.service"] = 0
        self.assertEqual((self.report(), failures.warnings()), ([], []))
        self.restarts["opensmtpd.service"] = 1
        self.assertEqual(self.report(), ["opensmtpd.service failed on mail.example.org"])

    def test_that_mail_by_themselves_are_not_mailed_twice(self):
        told = True
        self.replace(failures, TELL={"mailhost-backup.service": lambda: told})
        self.fails("mailhost-backup.service")
        self.assertEqual((self.report(), len(failures.warnings())), ([], 1))
        self.succeeds("mailhost-backup.service")
        self.report()
        told = False
        self.fails("mailhost-backup.service")
        self.assertEqual(self.report(), ["mailhost-backup.service failed on mail.example.org"])

    def test_are_described_by_their_own_words(self):
        unit, systemd = (
            "x.service",
            "x.service: Failed with result 'exit-code'.\nx.service: Triggering OnFailure= dependencies.\n",
        )
        for own, words in (
            ("one\nchannel failed\nno\n", "one\nchannel failed\nno"),
            ("", "x.service: Failed with result 'exit-code'."),
        ):
            journal = lambda *command, own=own: own if command[-1].startswith("_SYSTEMD") else systemd  # noqa: E731
            with mock.patch.object(failures, "run", journal):
                self.assertEqual(failures.words_of(unit, "1"), words)
                self.assertEqual(failures.words_of(unit), "x.service: Failed with result 'exit-code'.")

    def test_are_looked_at_after_a_push_that_is_under_way(self):
        self.fails("amavis.service")
        waited = []

        @contextlib.contextmanager
        def locked(path):
            if path == failures.HOST_LOCK:
                waited.append(path)
                self.succeeds("amavis.service")
            yield

        self.replace(failures, locked=locked)
        self.assertEqual((self.report(), len(waited)), ([], 1))

    def test_are_told_in_spite_of_a_damaged_note_or_a_clock_that_was_ahead(self):
        failures.ENTRIES.write_text('{"spam')
        self.fails(self.RULES)
        self.time += 365 * 86400
        self.assertEqual(self.report(), [self.SUBJECT])
        self.time -= 365 * 86400
        for _ in range(3):
            self.succeeds(self.RULES)
            self.report()
            self.fails(self.RULES)
            self.assertEqual(self.report(), [self.SUBJECT])


class Notices(OnHost):
    def test_count_as_sent_where_opensmtpd_is_down_and_keeps_them_but_not_where_it_refuses(self):
        self.replace(notices, host_name=lambda: "mail.example.org")
        for status, is_taken in ((0, True), (75, True), (1, False), (69, False)):
            answer = types.SimpleNamespace(returncode=status, stderr=b"server disallowed submission request\n")
            with mock.patch.object(notices.subprocess, "run", mock.Mock(return_value=answer)) as ran:
                if is_taken:
                    notices.notify_postmaster("ä", "text")
                else:
                    with self.assertRaisesRegex(Failure, "sendmail failed: server disallowed"):
                        notices.notify_postmaster("ä", "text")
                self.assertRegex(
                    ran.call_args.kwargs["input"].decode(), "To: root\n(.*\n)*Auto-Submitted: auto-generated\n"
                )

    def test_of_a_backup_are_not_noted_as_sent_where_they_are_not(self):
        self.replace(backup, STATE=self.folder / "backup.json", put_private=lambda path, text: path.write_text(text))
        with mock.patch.object(backup, "notify_postmaster", mock.Mock(side_effect=Failure("refused"))):
            backup.tell(Failure("no room"))
        self.assertFalse(backup.has_told())
        with mock.patch.object(backup, "notify_postmaster", mock.Mock()) as sent:
            backup.tell(Failure("no room"))
            backup.tell(Failure("no room"))
        self.assertTrue(backup.has_told())
        self.assertEqual(sent.call_count, 1)


if __name__ == "__main__":
    unittest.main()
