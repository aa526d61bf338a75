"""What the host tells of itself, by an OpenSMTPD and a systemd that do what the test says."""

import contextlib
import io
import itertools
import json
import os
import pathlib
import re
import tempfile
import time
import types
import unittest
from unittest import mock

from mailhost import backup, check, daemons, deferred, failures, health, notices, pauses
from mailhost.failure import Failure

SUBSYSTEMS = ("mda", "mta", "smtp")
SUBSETS = [set(some) for number in range(4) for some in itertools.combinations(SUBSYSTEMS, number)]


class OnHost(unittest.TestCase):
    """With files of its own in the place of the host's."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def replace(self, module, **others):
        for name, other in others.items():
            patch = mock.patch.object(module, name, other)
            patch.start()
            self.addCleanup(patch.stop)


class Smtpd:
    """smtpctl as control.c and scheduler_ramqueue.c have it."""

    def __init__(self, folder):
        self.folder = folder
        self.runs = True
        self.paused, self.blocks = set(), []
        #: [suspended, sent] of each envelope by its id.
        self.envelopes = {}
        #: How often it is asked until it puts off what it has for a route that failed.
        self.failed = 0

    def add(self, number):
        envelope = f"{number:08x}00000000"
        path = pauses.path_of(envelope)
        path.parent.mkdir(parents=True)
        path.touch()
        self.envelopes[envelope] = [False, False]
        return envelope

    def start(self, options=()):
        self.runs = True
        self.paused = {option for option in options if option != "-P"}
        self.blocks = []
        for state in self.envelopes.values():
            state[0] = False
        self.deliver()

    def deliver(self):
        """The tests' messages are all for a relay."""
        for state in self.envelopes.values():
            if not state[0] and "mta" not in self.paused and not self.blocks and not self.failed:
                state[1] = True

    def waiting(self):
        return {envelope for envelope, state in self.envelopes.items() if not state[1]}

    def run(self, *command):
        if command[0] != "smtpctl":
            return ""
        if not self.runs:
            raise Failure("smtpctl: smtpd doesn't seem to be running")
        match command[1:]:
            case ["show", "status"]:
                return "".join(f"{s.upper()} {'paused' if s in self.paused else 'running'}\n" for s in SUBSYSTEMS)
            case ["show", "queue"]:
                return "".join(
                    f"{envelope}|local|mta|auth{',suspend' if state[0] else ''}|@|a@x|a@x|1|1|0|0|pending|9|\n"
                    for envelope, state in self.envelopes.items()
                    if not state[1]
                )
            case ["show", "routes"]:
                return ""
            case ["show", "relays"]:
                self.failed -= self.failed > 0
                route = "  connector 127.0.0.1 refcount=1 nconn=0 lastconn=5s timeout=- flags=ERROR_ROUTE_NET\n"
                return route if self.failed else ""
            case ["show", "mta", "paused"]:
                return "".join(f"{source} -> {domain}\n" for source, domain in self.blocks)
            case ["pause", "envelope", envelope]:
                self.envelopes[envelope][0] = True
            case ["pause", "mta", "from", source, "for", domain]:
                self.blocks.append((source, domain))
            case ["pause", subsystem]:
                if subsystem in self.paused:
                    raise Failure("command failed")
                self.paused.add(subsystem)
            case ["resume", subsystem]:
                if subsystem not in self.paused:
                    raise Failure("command failed")
                self.paused.remove(subsystem)
                self.deliver()
            case ["schedule", "all"]:
                # Suspended or not.
                for state in self.envelopes.values():
                    state[1] = state[1] or ("mta" not in self.paused and not self.failed)
            case ["schedule", envelope]:
                self.envelopes[envelope][1] = "mta" not in self.paused
            case other:
                raise AssertionError(other)
        return "command succeeded\n"

    def succeeds(self, *command):
        try:
            self.run(*command)
        except Failure:
            return False
        return True


class Killed(BaseException):
    pass


class Pauses(OnHost):
    def setUp(self):
        super().setUp()
        self.replace(pauses, MARK=self.folder / "mark", KEPT=self.folder / "kept", OPTIONS=self.folder / "options",
                     QUEUE=self.folder / "queue", put_private=lambda path, text: path.write_text(text))  # fmt: skip
        self.smtpd = Smtpd(self.folder)
        self.replace(pauses, wait_for=lambda what, condition, seconds: self.assertTrue(condition(), what))
        self.replace(pauses, run=self.smtpd.run, succeeds=self.smtpd.succeeds, is_active=lambda unit: self.smtpd.runs)
        self.replace(
            daemons, HOST_LOCK=str(self.folder / "lock"), run=self.smtpd.run, is_active=lambda unit: True, unended=lambda ones: [],
            restart_unit=lambda unit: self.restart() if unit == "opensmtpd" else None, answers=lambda *_: True,
        )  # fmt: skip

    def restart(self):
        """As the unit does, with the drop-in."""
        pauses.keep()
        options = pauses.OPTIONS.read_text().strip().removeprefix("PAUSES=").split() if pauses.OPTIONS.exists() else []
        self.smtpd.start(options)
        pauses.restore()

    def crash(self):
        self.smtpd.runs = False
        with contextlib.suppress(Failure):
            pauses.keep()
        self.smtpd.start()
        pauses.restore()

    def relay(self):
        with daemons.relaying_paused():
            self.assertIn("mta", self.smtpd.paused)

    def relay_killed(self):
        with contextlib.suppress(Killed), mock.patch.object(pauses, "release", mock.Mock(side_effect=Killed)):
            self.relay()
        self.assertIn("mta", self.smtpd.paused)
        with daemons.host_alone():
            pass

    def killed_before_it_pauses(self):
        before = {*self.smtpd.paused}
        with contextlib.suppress(Killed), mock.patch.object(pauses, "succeeds", mock.Mock(side_effect=Killed)):
            pauses.hold("mta")
        self.assertEqual(self.smtpd.paused, before)
        with daemons.host_alone():
            pass

    def reboot_in_a_push(self):
        with contextlib.suppress(Killed), mock.patch.object(pauses, "release", mock.Mock(side_effect=Killed)):
            self.relay()
        pauses.keep()
        pauses.MARK.unlink(missing_ok=True)
        self.smtpd.start(
            pauses.OPTIONS.read_text().strip().removeprefix("PAUSES=").split() if pauses.OPTIONS.exists() else []
        )
        pauses.restore()

    def test_ends_once_what_met_a_closed_port_can_be_tried_again(self):
        def wait_for(what, condition, seconds):
            for _ in range(5):
                if condition():
                    return
            raise Failure(what)

        for asked in (0, 1, 4):
            with self.subTest(asked=asked):
                self.smtpd.__init__(self.folder)
                self.replace(pauses, wait_for=wait_for)
                with tempfile.TemporaryDirectory(dir=self.folder) as queue:
                    self.replace(pauses, QUEUE=pathlib.Path(queue))
                    with daemons.relaying_paused():
                        self.smtpd.add(1)
                        self.smtpd.failed = asked
                self.assertEqual((self.smtpd.waiting(), self.smtpd.paused), (set(), set()))

    def test_of_an_operator_stay_as_they_are_whatever_the_program_does(self):
        ways = {
            "relaying paused": self.relay,
            "killed meanwhile": self.relay_killed,
            "killed before": self.killed_before_it_pauses,
            "any other command": lambda: self.host_alone(),
            "restart by systemd": self.restart,
            "two restarts": lambda: (self.restart(), self.restart()),
            "restart of OpenSMTPD": lambda: daemons.OpenSmtpd().restart_service(),
            "restart of amavis": lambda: daemons.Amavis().restart_service(),
            "reboot during a push": self.reboot_in_a_push,
        }
        for paused, suspends, blocks, (name, way) in itertools.product(
            SUBSETS, (0, 2), ([], [("0.0.0.0", "x.example")]), ways.items()
        ):
            with self.subTest(name, paused=paused, suspends=suspends, blocks=blocks):
                self.smtpd.__init__(self.folder)
                self.smtpd.paused, self.smtpd.blocks = {*paused}, [*blocks]
                with tempfile.TemporaryDirectory(dir=self.folder) as queue:
                    self.replace(pauses, QUEUE=pathlib.Path(queue))
                    suspended = {self.smtpd.add(number) for number in range(suspends)}
                    for envelope in suspended:
                        self.smtpd.envelopes[envelope][0] = True
                    other = self.smtpd.add(99)
                    way()
                self.assertEqual((self.smtpd.paused, self.smtpd.blocks), (paused, blocks))
                held = {envelope for envelope, state in self.smtpd.envelopes.items() if state[0]}
                self.assertEqual(held, suspended)
                # Nothing that was held back went out; the other did, where relaying is on.
                self.assertEqual(self.smtpd.waiting() - {other}, suspended)
                if "mta" not in paused and not blocks and name != "any other command":
                    self.assertNotIn(other, self.smtpd.waiting())
                self.assertEqual([*self.folder.glob("*kept*"), *self.folder.glob("mark")], [])

    def host_alone(self):
        with daemons.host_alone():
            pass

    def test_end_with_a_crash_of_opensmtpd_and_do_not_come_back_later(self):
        self.smtpd.paused = {"mta"}
        self.crash()
        self.assertEqual(self.smtpd.paused, set())
        self.restart()
        self.assertEqual(self.smtpd.paused, set())

    def test_that_were_resumed_do_not_come_back(self):
        self.smtpd.paused = {"mta"}
        self.restart()
        self.smtpd.run("smtpctl", "resume", "mta")
        self.restart()
        self.assertEqual(self.smtpd.paused, set())

    def test_of_the_program_do_not_need_an_opensmtpd_that_answers(self):
        self.smtpd.runs = False
        with daemons.relaying_paused():
            pass
        self.assertFalse(pauses.MARK.exists())

    def test_start_nothing_too_early_where_the_messages_cannot_be_suspended_again(self):
        envelope = self.smtpd.add(1)
        self.smtpd.envelopes[envelope][0] = True
        pauses.keep()
        self.smtpd.start(pauses.OPTIONS.read_text().strip().removeprefix("PAUSES=").split())
        with (
            mock.patch.object(pauses, "wait_for", mock.Mock(side_effect=Failure("gave up"))),
            self.assertRaises(Failure),
        ):
            pauses.restore()
        self.assertEqual(self.smtpd.paused, {"mda", "mta"})
        self.assertEqual(self.smtpd.waiting(), {envelope})

    def test_are_named_by_the_check_with_what_ends_them(self):
        self.assertEqual([*pauses.warnings()], [])
        self.smtpd.paused, self.smtpd.blocks = {*SUBSYSTEMS}, [("192.0.2.1", "x.example")]
        self.smtpd.envelopes[self.smtpd.add(1)][0] = True
        found = "\n".join(pauses.warnings())
        for words in (*(f"smtpctl resume {s}" for s in SUBSYSTEMS), "messages are paused: 1", "smtpctl resume envelope all",
                      "smtpctl resume mta from 192.0.2.1 for x.example"):  # fmt: skip
            self.assertIn(words, found)

    def test_of_reception_leave_no_port_that_answers_to_wait_for(self):
        daemon = daemons.OpenSmtpd()
        self.assertEqual(daemon.answering_ports(), {25, 465, 587})
        self.assertIn((("127.0.0.1", 25), b"220 "), daemon.endpoints)
        self.smtpd.paused = {"smtp"}
        self.assertEqual(daemon.answering_ports(), set())
        self.assertIn((("127.0.0.1", 25), b""), daemon.endpoints)
        self.assertEqual(daemons.Dovecot().answering_ports(), {993, 4190})

    def test_let_the_check_hurry_the_probes_alone(self):
        queue = (
            f"00000000aaaaaaaa|local|mta||a@x|{check.PROBE}|{check.PROBE}|1|2|0|1|pending|9|no\n"
            "00000000bbbbbbbb|local|mta||a@x|b@example.net|b@example.net|1|2|0|1|pending|9|no\n"
        )
        calls = []
        self.replace(check, run=lambda *command: queue, succeeds=lambda *command: calls.append(command))
        check.schedule_probes()
        self.assertEqual(calls, [("smtpctl", "schedule", "00000000aaaaaaaa")])

    def test_let_no_probe_be_sent(self):
        sent = []
        mail = {"hostName": "mail.example.org", "domains": []}
        nothing = lambda *_: []  # noqa: E731
        for part in (failures, deferred, health):
            self.replace(part, warnings=list)
        self.replace(deferred, ordinary=list)
        self.replace(
            check, services=nothing, name_resolution=nothing, listeners=nothing, served_certificates=nothing, web_pages=nothing,
            outside=nothing, spam_reasons=nothing, signing_probes=nothing, send_spam_probe=lambda: sent.append(1),
        )  # fmt: skip
        self.replace(check.tlsa, note=lambda: None)
        for paused in SUBSETS:
            sent.clear()
            self.smtpd.paused = paused
            with contextlib.redirect_stdout(io.StringIO()) as out:
                check.check(mail)
            self.assertEqual(bool(sent), not paused, paused)
            self.assertEqual(out.getvalue().count("WARNING: "), len(paused))


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


class Health(OnHost):
    """A host that is well, but for what the test says."""

    def setUp(self):
        super().setUp()
        self.answers = {
            "systemctl list-timers": "[]", "dpkg --audit": "", "timedatectl show": "NTP=yes\nNTPSynchronized=yes\nCanNTP=yes\n",
        }  # fmt: skip
        self.room = {"f_blocks": 100, "f_bfree": 60, "f_bavail": 50, "f_files": 100, "f_favail": 50}
        self.inactive = set()
        stamps = {words: self.folder / stamp.name for words, stamp in health.STAMPS.items()}
        for stamp in (*stamps.values(), self.folder / "installed"):
            stamp.touch()
        self.replace(
            health, STAMPS=stamps, INSTALLED=self.folder / "installed", SIGNATURES=self.folder, DISKS=("/",), run=self.run_command,
            is_active=lambda unit: unit not in self.inactive, wanted=lambda: [health.DAEMONS["antivirus"]],
        )  # fmt: skip
        self.replace(health.os, statvfs=lambda path: types.SimpleNamespace(**self.room))

    def run_command(self, *command):
        answer = self.answers.get(" ".join(command[:2]))
        if answer is None:
            raise Failure(f"{command[0]} failed")
        return answer

    def found(self, words=None):
        found = [*health.warnings()]
        self.assertEqual(len(found), 0 if words is None else 1, found)
        if words is not None:
            self.assertRegex(found[0], words)

    def test_has_no_finding(self):
        self.found()
        # A first boot has seen no update yet.
        for stamp in health.STAMPS.values():
            stamp.unlink()
        self.found()

    def test_tells_of_a_disk_that_is_nearly_full(self):
        self.room |= {"f_bfree": 15, "f_bavail": 5}
        self.found("of the room of / 6% are left")
        self.room |= {"f_bfree": 60, "f_bavail": 50, "f_favail": 9}
        self.found("of the inodes of / 9% are left")
        # Of file systems that have no fixed number of them.
        self.room |= {"f_files": 0, "f_favail": 0}
        self.found()

    def test_tells_of_a_timer_or_updater_that_does_not_run(self):
        for unit in (*health.UNITS, health.antivirus.UPDATES):
            self.inactive = {unit}
            self.found(f"{re.escape(unit)} does not run")

    def test_tells_of_a_timer_whose_service_hangs_or_that_never_comes_again(self):
        timer = {"unit": "mailhost-backup.timer", "activates": "mailhost-backup.service", "next": 5}
        start = int((time.monotonic() - 30 * 3600) * 1e6)
        for state, since, coming, words in (
            ("activating", start, 0, "mailhost-backup.service has been running for 30 hours"),
            ("activating", start + int(29 * 3600 * 1e6), 0, None),
            ("inactive", start, 5, None),
            ("inactive", start, 0, "mailhost-backup.timer never runs again"),
            ("active", start, 0, None),
        ):
            self.answers |= {
                "systemctl list-timers": json.dumps([timer | {"next": coming}]),
                "systemctl show": f"InactiveExitTimestampMonotonic={since}\nActiveState={state}\n",
            }
            self.found(words)

    def test_tells_of_updates_that_do_not_come(self):
        for words, stamp in health.STAMPS.items():
            os.utime(stamp, (time.time() - 4 * health.DAY,) * 2)
            self.found(f"{words} since ")
            stamp.touch()
        self.answers["dpkg --audit"] = "The following packages are only half configured: amavisd-new\n"
        self.found("dpkg --configure --pending")

    def test_tells_of_updates_that_never_came(self):
        os.utime(health.INSTALLED, (time.time() - 4 * health.DAY,) * 2)
        next(iter(health.STAMPS.values())).unlink()
        self.found("were not updated since")

    def test_tells_of_signatures_that_do_not_come(self):
        daily = self.folder / "daily.cld"
        daily.touch()
        self.found()
        os.utime(daily, (time.time() - 8 * health.DAY,) * 2)
        self.found("no new signatures for 8 days")

    def test_tells_of_a_clock_that_nothing_sets(self):
        for about, words in (
            ("NTP=yes\nNTPSynchronized=no\nCanNTP=yes\n", "no time server has set the clock"),
            ("NTP=no\nNTPSynchronized=yes\nCanNTP=yes\n", "nothing sets the clock"),
            ("NTP=no\nNTPSynchronized=no\nCanNTP=no\n", None),
        ):
            self.answers["timedatectl show"] = about
            self.found(words)

    def test_tells_what_it_cannot_look_at(self):
        del self.answers["dpkg --audit"]
        self.found("the check of packages failed: dpkg failed")


if __name__ == "__main__":
    unittest.main()
