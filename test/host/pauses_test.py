"""Pauses of OpenSMTPD, by one that does what the test says."""

import contextlib
import io
import itertools
import pathlib
import tempfile
import unittest
from unittest import mock

from mailhost import check, daemons, deferred, failures, health, pauses, tlsa
from mailhost.daemons import daemon, opensmtpd
from mailhost.daemons.amavis import Amavis
from mailhost.daemons.daemon import Endpoint
from mailhost.daemons.dovecot import Dovecot
from mailhost.daemons.opensmtpd import OpenSmtpd
from mailhost.failure import Failure
from on_host import OnHost

SUBSYSTEMS = ("mda", "mta", "smtp")
SUBSETS = [set(some) for number in range(4) for some in itertools.combinations(SUBSYSTEMS, number)]


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
        #: How often it is asked until what it transfers has arrived.
        self.transfers = {}

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
            case ["show", "stats"]:
                counters = "".join(f"{name}={min(1, asked)}\n" for name, asked in self.transfers.items())
                self.transfers = {name: max(0, asked - 1) for name, asked in self.transfers.items()}
                return f"control.session=1\n{counters}uptime=16\nuptime.human=16s\n"
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


def asking(times):
    """`wait_for` of a clock that lets a condition be asked so often."""

    def wait_for(what, condition, seconds):
        for _ in range(times):
            if condition():
                return
        raise Failure(what)

    return wait_for


class Killed(BaseException):
    pass


class Pauses(OnHost):
    def setUp(self):
        super().setUp()
        self.replace(pauses, MARK=self.folder / "mark", KEPT=self.folder / "kept", OPTIONS=self.folder / "options",
                     QUEUE=self.folder / "queue", put_private=lambda path, text: path.write_text(text))  # fmt: skip
        self.smtpd = Smtpd(self.folder)
        self.restarted_with = []
        self.replace(pauses, wait_for=lambda what, condition, seconds: self.assertTrue(condition(), what))
        self.replace(pauses, run=self.smtpd.run, succeeds=self.smtpd.succeeds, is_active=lambda unit: self.smtpd.runs)
        self.replace(daemons, HOST_LOCK=str(self.folder / "lock"), unended=lambda ones: [])
        self.replace(
            daemon,
            run=self.smtpd.run,
            is_active=lambda unit: True,
            restart_unit=self.restart_unit,
            answers=lambda *_: True,
        )
        self.replace(opensmtpd, run=self.smtpd.run)

    def restart_unit(self, unit):
        self.restarted_with.append((unit, {*self.smtpd.paused}, sum(self.smtpd.transfers.values())))
        if unit == "opensmtpd":
            self.restart()

    def restart(self):
        """As the unit does, with the drop-in."""
        pauses.keep()
        self.smtpd.start(self.options())
        pauses.restore()

    def crash(self):
        self.smtpd.runs = False
        with contextlib.suppress(Failure):
            pauses.keep()
        self.smtpd.start(self.options())
        pauses.restore()

    def options(self):
        return pauses.OPTIONS.read_text().strip().removeprefix("PAUSES=").split() if pauses.OPTIONS.exists() else []

    def relay(self):
        with pauses.relaying_paused():
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

    def test_hold_a_restart_until_no_message_is_half_handed_over(self):
        self.replace(pauses, wait_for=asking(9))
        self.replace(opensmtpd, wait_for=asking(9))
        everything = {"mda": "mda.running", "mta": "mta.task.running"}
        for daemon_class, held in ((OpenSmtpd, {"mda", "mta", "smtp"}), (Dovecot, {"mda"})):
            own = [counter for subsystem, counter in everything.items() if subsystem in held]
            # The last of them takes longer than there is time.
            for counter, asked, left in [*((one, 3, 0) for one in own), (own[0], 99, 90)]:
                with self.subTest(daemon_class.name, counter=counter, asked=asked):
                    self.smtpd.__init__(self.folder)
                    self.smtpd.transfers = {counter: asked}
                    self.restarted_with.clear()
                    daemon_class().restart_service()
                    self.assertEqual(self.restarted_with, [(daemon_class.name, held, left)])
                    self.assertEqual(self.smtpd.paused, set())

    def test_ends_once_what_met_a_closed_port_can_be_tried_again(self):
        for asked in (0, 1, 4):
            with self.subTest(asked=asked):
                self.smtpd.__init__(self.folder)
                self.replace(pauses, wait_for=asking(5))
                with tempfile.TemporaryDirectory(dir=self.folder) as queue:
                    self.replace(pauses, QUEUE=pathlib.Path(queue))
                    with pauses.relaying_paused():
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
            "restart of OpenSMTPD": lambda: OpenSmtpd().restart_service(),
            "restart of amavis": lambda: Amavis().restart_service(),
            "restart of Dovecot": lambda: Dovecot().restart_service(),
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
                if "mta" not in paused and not blocks and name not in ("any other command", "restart of Dovecot"):
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

    def test_that_were_noted_outlive_a_crash_of_opensmtpd(self):
        self.smtpd.paused, self.smtpd.blocks = {"smtp"}, [("192.0.2.1", "x.example")]
        envelope = self.smtpd.add(1)
        self.smtpd.envelopes[envelope][0] = True
        pauses.note()
        self.crash()
        self.assertEqual((self.smtpd.paused, self.smtpd.blocks), ({"smtp"}, [("192.0.2.1", "x.example")]))
        self.assertEqual(self.smtpd.envelopes[envelope], [True, False])

    def test_that_were_resumed_before_a_note_do_not_come_back_after_a_crash(self):
        self.smtpd.paused = {"mta"}
        pauses.note()
        self.smtpd.run("smtpctl", "resume", "mta")
        pauses.note()
        self.crash()
        self.assertEqual(self.smtpd.paused, set())
        self.smtpd.runs = False
        pauses.note()
        self.assertFalse(pauses.KEPT.exists())

    def test_that_were_resumed_do_not_come_back(self):
        self.smtpd.paused = {"mta"}
        self.restart()
        self.smtpd.run("smtpctl", "resume", "mta")
        self.restart()
        self.assertEqual(self.smtpd.paused, set())

    def test_of_the_program_do_not_need_an_opensmtpd_that_answers(self):
        self.smtpd.runs = False
        with pauses.relaying_paused():
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
        smtpd = OpenSmtpd()
        self.assertEqual(smtpd.answering_ports(), {25, 465, 587})
        self.assertIn(Endpoint(("127.0.0.1", 25), b"220 "), smtpd.endpoints)
        self.smtpd.paused = {"smtp"}
        self.assertEqual(smtpd.answering_ports(), set())
        self.assertIn(Endpoint(("127.0.0.1", 25)), smtpd.endpoints)
        self.assertEqual(Dovecot().answering_ports(), {993, 4190})

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
        mail = check.Mail("mail.example.org", ())
        nothing = lambda *_: []  # noqa: E731
        for part in (failures, deferred, health):
            self.replace(part, warnings=list)
        self.replace(deferred, ordinary=list)
        self.replace(
            check, own_name=nothing, services=nothing, name_resolution=nothing, listeners=nothing, served_certificates=nothing, web_pages=nothing,
            outside=nothing, spam_reasons=nothing, signing_probes=nothing, send_spam_probe=lambda: sent.append(1),
        )  # fmt: skip
        self.replace(tlsa, note=lambda: None)
        for paused in SUBSETS:
            sent.clear()
            self.smtpd.paused = paused
            with contextlib.redirect_stdout(io.StringIO()) as out:
                check.check(mail)
            self.assertEqual(bool(sent), not paused, paused)
            self.assertEqual(out.getvalue().count("WARNING: "), len(paused))


if __name__ == "__main__":
    unittest.main()
