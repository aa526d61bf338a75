"""What goes wrong slowly, or apart from mail: disks, updates, the clock, timers."""

import contextlib
import datetime
import json
import os
import pathlib
import time
from collections.abc import Iterator

from mailhost import failures
from mailhost.daemons import DAEMONS, antivirus, wanted
from mailhost.failure import ERRORS, Failure
from mailhost.system import is_active, run

#: OpenSMTPD takes no mail with less than 5 % of the blocks or inodes of its queue free (queue_fs.c).
LEAST_FREE = 0.1
DISKS = ("/", "/srv/mailhost", "/var/log")
#: apt notes here what succeeded; its units succeed whatever happens.
STAMPS = {
    "the lists of Debian packages were not updated": pathlib.Path("/var/lib/apt/periodic/update-stamp"),
    "Debian's updates were not installed": pathlib.Path("/var/lib/apt/periodic/upgrade-stamp"),
}
#: As old as this host, or as its last update.
INSTALLED = pathlib.Path("/var/lib/dpkg/info/unattended-upgrades.list")
SIGNATURES = pathlib.Path("/var/lib/clamav")
#: Of what no daemon has.
OWN_TIMERS = ("mailhost-daily.timer", "mailhost-reports.timer")
#: Of units that a plan without them has, too.
UNITS = (
    failures.TIMER,
    *OWN_TIMERS,
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "logrotate.timer",
    "systemd-tmpfiles-clean.timer",
)
DAY = 86400
#: Seconds without an update. A mirror may be down for a day.
PATIENCE = 3 * DAY
#: New signatures come each day.
SIGNATURES_PATIENCE = 7 * DAY


def warnings() -> Iterator[str]:
    for look in (disks, units, timers, updates, packages, signatures, clock):
        try:
            yield from look()
        except ERRORS as error:
            yield f"the check of {look.__name__} failed: {error}"


def disks() -> Iterator[str]:
    seen = set()
    for path in DISKS:
        device = os.stat(path).st_dev
        if device in seen:
            continue
        seen.add(device)
        about = os.statvfs(path)
        used = about.f_blocks - about.f_bfree
        for what, free, total in (
            ("room", about.f_bavail, used + about.f_bavail),
            ("inodes", about.f_favail, about.f_files),
        ):
            if total and free / total < LEAST_FREE:
                yield (
                    f"of the {what} of {path} {free / total:.0%} are left; OpenSMTPD takes no mail with less than 5 %: "
                    f"du --one-file-system --max-depth 3 {path}"
                )


def units() -> Iterator[str]:
    for unit in [*UNITS, *([antivirus.UPDATES] if DAEMONS["antivirus"] in wanted() else [])]:
        if not is_active(unit):
            yield f"{unit} does not run: systemctl status {unit}"


def timers() -> Iterator[str]:
    for timer in json.loads(run("systemctl", "list-timers", "--output=json")):
        unit = timer["activates"]
        shown = run("systemctl", "show", "--property=ActiveState,InactiveExitTimestampMonotonic", "--", unit)
        about = dict(line.split("=", 1) for line in shown.splitlines())
        state, since = about["ActiveState"], about["InactiveExitTimestampMonotonic"]
        running = state in ("active", "activating")
        hours = (time.monotonic() - int(since) / 1e6) / 3600
        if state == "activating" and hours > 24:
            yield f"{unit} has been running for {hours:.0f} hours, and {timer['unit']} does not start it again meanwhile"
        elif not timer["next"] and not running:
            yield f"{timer['unit']} never runs again: systemctl status {timer['unit']}"


def updates() -> Iterator[str]:
    for words, stamp in STAMPS.items():
        last = (stamp if stamp.exists() else INSTALLED).stat().st_mtime
        if time.time() - last > PATIENCE:
            yield (
                f"{words} since {datetime.datetime.fromtimestamp(last):%Y-%m-%d}: /var/log/unattended-upgrades, "
                "journalctl --unit apt-daily --unit apt-daily-upgrade"
            )


def packages() -> Iterator[str]:
    if run("dpkg", "--audit").strip():
        yield "packages are installed in part only, and hold up all updates: dpkg --audit; dpkg --configure --pending"


def signatures() -> Iterator[str]:
    """freshclam goes on running when it gets nothing."""
    if DAEMONS["antivirus"] not in wanted():
        return
    ages = [time.time() - path.stat().st_mtime for path in SIGNATURES.glob("daily.c[lv]d")]
    if ages and min(ages) > SIGNATURES_PATIENCE:
        yield f"ClamAV got no new signatures for {min(ages) / DAY:.0f} days: journalctl --unit {antivirus.UPDATES}"


def clock() -> Iterator[str]:
    """A container has the clock of its machine, and no service for it."""
    with contextlib.suppress(Failure):
        about = dict(line.split("=", 1) for line in run("timedatectl", "show").splitlines())
        if about.get("NTP") == "yes" and about.get("NTPSynchronized") == "no":
            yield "no time server has set the clock: timedatectl timesync-status"
        elif about.get("CanNTP") == "yes" and about.get("NTP") == "no":
            yield "nothing sets the clock: timedatectl set-ntp true"
