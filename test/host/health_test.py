"""What the host tells of itself that goes wrong slowly."""

import json
import os
import re
import time
import types
import unittest

from mailhost import health
from mailhost.failure import Failure
from on_host import OnHost


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
