"""A server beside the one that serves: prepared, checked, and idle once it has given up the volume."""

import contextlib
import types
import unittest
from unittest import mock

from mailhost import commands, prepare, standby
from mailhost.failure import Failure
from mailhost.manifests import Entry
from on_host import OnHost

MAIL = object()
OWN_TIMERS = "mailhost-daily.timer mailhost-reports.timer mailhost-failures.timer"
TIMERS = f"mailhost-backup.timer {OWN_TIMERS}"


def entry(digest):
    return Entry("0644", "root:root", digest)


class Standby(OnHost):
    def setUp(self):
        super().setUp()
        self.mounted, self.is_standby = True, False
        self.manifests = {name: {f"/etc/{name}": entry("a")} for name in ("dovecot", "opensmtpd", "backup")}
        self.log = []
        self.failing = None
        self.files = [self.folder / name for name in ("device.conf", "folders.conf", "standby.conf")]
        for file in self.files:
            file.write_text("")
        device, folders, marker = map(str, self.files)
        smtpd = standby.DAEMONS["opensmtpd"]
        self.replace(
            standby,
            DEVICE=device,
            FOLDERS=folders,
            STANDBY=marker,
            IDLE=self.folder / "idle",
            HANDED_OVER=self.folder / "handed-over.json",
            is_standby=lambda: self.is_standby,
            check=lambda mail: self.log.append("check"),
            wanted=lambda: [
                standby.DAEMONS[name] for name in ("firewall", "resolver", "dovecot", "opensmtpd", "backup")
            ],
            present=lambda: {"anna"},
            stop_units=self.stop,
            run=self.run_command,
            succeeds=lambda *command: self.log.append(" ".join(command)) is None,
            reactivate=lambda daemon, _: self.log.append(f"reactivate {daemon.name}"),
            domains=lambda files: ["example.org"] if files else [],
            print=mock.Mock(),
            manifests=types.SimpleNamespace(Manifest=dict[str, Entry], owned=lambda name: self.manifests.get(name, {})),
            os=types.SimpleNamespace(
                path=types.SimpleNamespace(ismount=lambda _: self.mounted), sync=lambda: self.log.append("sync")
            ),
        )
        self.replace(type(smtpd), drained=lambda _: self.drained())

    @contextlib.contextmanager
    def drained(self):
        self.log.append("drain")
        yield

    def stop(self, *units):
        if self.failing in units:
            raise Failure(f"{self.failing} does not stop")
        self.log.append(f"stop {' '.join(units)}")
        if prepare.VOLUME in units:
            self.mounted = False

    def run_command(self, *command):
        if command[:2] == ("systemctl", "show"):
            needs = {"dovecot": "/srv/mailhost", "opensmtpd": "/var/spool/smtpd /srv/mailhost"}
            return needs.get(command[-1], "") + "\n"
        self.log.append(" ".join(command))
        return ""

    def test_stops_what_needs_the_volume_then_lets_go_of_it(self):
        standby.give_up()
        self.assertEqual(
            [line for line in self.log if "systemctl cat" not in line],
            [
                f"stop {TIMERS}",
                "drain",
                "stop opensmtpd dovecot",
                "stop var-spool-smtpd.mount srv-mailhost.mount",
                # Their numbers are those of their homes on the volume.
                "userdel anna",
                "systemctl daemon-reload",
                "sync",
            ],
        )
        self.assertFalse(any(file.exists() for file in self.files))

    def test_goes_on_where_it_cannot_let_go(self):
        self.failing = prepare.QUEUE
        with self.assertRaisesRegex(Failure, "does not stop"):
            standby.give_up()
        self.assertTrue(all(file.exists() for file in self.files))
        self.assertFalse(standby.IDLE.exists() or standby.HANDED_OVER.exists())
        self.assertEqual(
            self.log[-1],
            f"systemctl enable --now --quiet srv-mailhost.mount var-spool-smtpd.mount opensmtpd dovecot {TIMERS}",
        )

    def test_gives_up_once(self):
        standby.give_up()
        self.log.clear()
        standby.give_up()
        standby.ready(MAIL)
        self.assertEqual(self.log, ["systemctl daemon-reload", "sync"] * 2)

    def test_is_checked_before_it_waits_for_the_volume(self):
        self.is_standby = True
        standby.ready(MAIL)
        self.assertEqual(self.log[0], "check")
        self.assertIn("userdel anna", self.log)
        self.assertEqual(self.log[-1], "sync")
        self.assertFalse(standby.HANDED_OVER.exists())

    def test_gives_up_what_never_got_the_volume(self):
        self.mounted = False
        standby.give_up()
        self.assertTrue(standby.IDLE.exists())
        self.assertFalse(standby.HANDED_OVER.exists())

    def test_asks_the_ca_for_nothing_while_it_is_a_standby_server(self):
        renewed = mock.Mock()
        self.replace(commands, print=mock.Mock(), is_standby=lambda: self.is_standby)
        self.replace(commands.acme, renew=renewed)
        arguments = types.SimpleNamespace(certificate=[], state=None)
        self.is_standby = True
        commands.run_renew(arguments)
        renewed.assert_not_called()
        self.is_standby = False
        commands.run_renew(arguments)
        renewed.assert_called_once_with([], of_up=False)

    def take_over(self):
        """On another server, which has no backup yet."""
        standby.give_up()
        self.log.clear()
        del self.manifests["backup"]

    def test_starts_at_once_with_the_configuration_from_before(self):
        self.manifests |= {"tls": {"/etc/tls": entry("a")}, "web": {"/etc/web": entry("a")}}
        self.take_over()
        # What it has added itself is another thing without the volume.
        self.manifests["web"]["/etc/ssl/mailhost/example.org/privkey.pem"] = entry("b")
        standby.take_over()
        self.assertEqual(
            self.log,
            ["reactivate tls", "reactivate web", f"systemctl enable --now --quiet opensmtpd dovecot {OWN_TIMERS}"],
        )
        self.log.clear()
        standby.take_over()
        self.assertEqual(self.log, [])

    def test_waits_for_the_pushes_with_another_configuration(self):
        self.take_over()
        self.manifests["opensmtpd"] = {"/etc/opensmtpd": entry("b")}
        standby.take_over()
        self.assertEqual(self.log, [])
        self.assertFalse(standby.HANDED_OVER.exists())

    def test_is_not_ready_while_it_serves(self):
        with self.assertRaisesRegex(Failure, "this server serves"):
            standby.ready(MAIL)
        self.assertEqual(self.log, [])

    def test_is_not_ready_once_it_restarted(self):
        self.mounted = False
        with self.assertRaisesRegex(Failure, "restarted since it was prepared"):
            standby.ready(MAIL)
        self.assertEqual(self.log, [])


if __name__ == "__main__":
    unittest.main()
