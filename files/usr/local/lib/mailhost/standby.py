"""
A server beside the one that serves: prepared without the volume, or idle because it gave that up.

A standby server has an empty file system in memory where the volume will be. It is complete, so that the check of the mail
host proves it, and nothing of it survives a restart: mail that it took in by mistake could never be mistaken for real.
"""

import json
import os
import pathlib

from mailhost import certificates, failures, health, manifests
from mailhost.check import Mail, check
from mailhost.daemons import DAEMONS, reactivate, wanted
from mailhost.daemons.accounts import present
from mailhost.daemons.daemon import stop_units
from mailhost.daemons.opensmtpd import OpenSmtpd
from mailhost.daemons.web import domains
from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.files import put_private
from mailhost.prepare import DEVICE, FOLDERS, IDLE, QUEUE, ROOT, STANDBY, VOLUME, is_standby
from mailhost.system import run, succeeds

#: What needs the volume has one of these in the unit's RequiresMountsFor.
MOUNT_POINTS = {"/srv/mailhost", "/var/spool/smtpd"}
#: What was in force on the server that had the volume before.
HANDED_OVER = ROOT / "handed-over.json"
#: Daemons that complete what is pushed to them by what is on the volume.
COMPLETED = ("tls", "accounts", "web")


def ready(mail: Mail) -> None:
    """Makes a standby server ready to get the volume: checked, and idle. One that served before is idle already."""
    if is_standby():
        check(mail)
    elif os.path.ismount(ROOT):
        raise Failure(f"{ROOT} is mounted: this server serves, and cannot wait for the volume")
    elif not IDLE.exists():
        raise Failure(
            "the standby server restarted since it was prepared, so its check does not hold any more: "
            "prepare it again, by `pulumi up` with the setting drift=mend, before you switch"
        )
    give_up()


def give_up() -> None:
    """
    Stops taking mail, ends what is under way, and lets go of the volume. A restart of the server starts nothing of it again.

    Where that fails, the server goes on as before. Does nothing on a server that is idle.
    """
    if not IDLE.exists():
        stop_serving()
        IDLE.touch()
    # Without the device nothing mounts the volume, and what needs it does not start.
    for path in (DEVICE, FOLDERS, STANDBY):
        pathlib.Path(path).unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    # The server is turned off like by a power cut.
    os.sync()
    print("this server serves no mail, and has no volume")


def stop_serving() -> None:
    units = needing_volume()
    timers = all_timers()
    mounts = [unit for unit in (QUEUE, VOLUME) if succeeds("systemctl", "cat", unit)]
    smtpd = DAEMONS["opensmtpd"]
    assert isinstance(smtpd, OpenSmtpd)
    standby = is_standby()
    try:
        stop_units(*timers)
        with smtpd.drained():
            stop_units(*units)
        if not standby and os.path.ismount(ROOT):
            put_private(HANDED_OVER, json.dumps(in_force(), default=plain))
        stop_units(*mounts)
        if os.path.ismount(ROOT):
            raise Failure(f"{ROOT} is in use: fuser --verbose --mount {ROOT}")
    except BaseException:
        run("systemctl", "start", *reversed(mounts))
        HANDED_OVER.unlink(missing_ok=True)
        run("systemctl", "enable", "--now", "--quiet", *([] if standby else reversed(mounts)), *units, *timers)
        raise
    # Whose files are whose, the volume says when it comes.
    for name in sorted(present()):
        run("userdel", name)


def take_over() -> None:
    """
    Starts the daemons on a volume that another server has given up, if what was in force there is in force here.

    Otherwise the pushes that follow start them: with other accounts than before, mail to new ones would be refused meanwhile.
    """
    if not HANDED_OVER.exists():
        return
    before = parsed(dict[str, manifests.Manifest], HANDED_OVER.read_text(), str(HANDED_OVER))
    HANDED_OVER.unlink()
    if in_force() != before:
        print("the configuration differs from that of the server before: daemons start when they are pushed")
        return
    for name in COMPLETED:
        if name in before:
            reactivate(DAEMONS[name], frozenset())
    # All at once, in the order that the units themselves ask for. What does not start is reported by the push of its daemon.
    succeeds("systemctl", "enable", "--now", "--quiet", *needing_volume(), *all_timers())


def in_force() -> dict[str, manifests.Manifest]:
    """What was pushed to each daemon, without what the host adds to it from the volume, and without what a standby server lacks."""
    added = {path for domain in domains(manifests.owned("web")) for path in certificates.paths_of_domain(domain)}
    if certificates.OWN_CHAIN in manifests.owned("tls"):
        added |= {certificates.CHAIN, certificates.KEY}
    return {
        name: {path: entry for path, entry in manifests.owned(name).items() if path not in added}
        for name in DAEMONS
        if name != "backup" and manifests.owned(name)
    }


def all_timers() -> list[str]:
    """An idle server has nothing to report, and nobody to report it to."""
    of_daemons = [timer for daemon in wanted() if manifests.owned(daemon.name) for timer in daemon.timers]
    return [*of_daemons, *health.OWN_TIMERS, failures.TIMER]


def needing_volume() -> list[str]:
    """Units of daemons that work with the volume, the last that is pushed first."""
    units = [daemon.unit for daemon in wanted() if daemon.unit is not None and manifests.owned(daemon.name)]
    return [unit for unit in reversed(units) if MOUNT_POINTS & {*mounts_of(unit)} or unit.endswith(".timer")]


def mounts_of(unit: str) -> list[str]:
    return run("systemctl", "show", "--property=RequiresMountsFor", "--value", unit).split()
