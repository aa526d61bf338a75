"""Makes a fresh Debian ready for the daemons. Each step can be repeated and says nothing where nothing is to do."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import secrets
import subprocess
from collections.abc import Iterable

from mailhost import failures, health, manifests, users
from mailhost.daemons import DAEMONS, wanted
from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.files import File, Files, live, put, put_private
from mailhost.system import run, succeeds, wait_for
from mailhost.transaction import STATE, withdraw

ROOT = pathlib.Path("/srv/mailhost")

POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
NO_STARTS = "#!/bin/sh\n# Packages of the mail host are being installed.\nexit 101\n"

#: Which packages were there before those of the mail host came for the first time, and in which boot; gone once all is on
#: the disk. Until then the host has nothing to lose, and dpkg need not wait for the disk after each file.
INSTALLING = STATE / "installing.json"

UNITS = "/etc/systemd/system"
#: Where the machine has no volume for it, the mail lies where it has the folder: on a mount of its own, or its disk.
VOLUME = "srv-mailhost.mount"
QUEUE = "var-spool-smtpd.mount"
#: Says which device the volume is.
DEVICE = f"{UNITS}/{VOLUME}.d/device.conf"
#: Says that this is a standby server, and gives it a file system in memory until it restarts.
STANDBY = f"/run/systemd/system/{VOLUME}.d/standby.conf"
#: Says that this server has given up the volume, or the file system in memory.
IDLE = STATE / "idle"
#: See tmpfiles.d(5).
FOLDERS = "/etc/tmpfiles.d/mailhost.conf"
#: See os-release(5).
SYSTEM = pathlib.Path("/etc/os-release")
METADATA_GUARD = "metadata-guard.service"


@dataclasses.dataclass(frozen=True)
class Installation:
    """The first one of the packages of the mail host."""

    #: The boot in which it began.
    boot: str
    #: Version and state of each package that was there before.
    packages: dict[str, str]


def mounts() -> list[str]:
    """Units of what the host mounts."""
    return [unit for unit in (VOLUME, QUEUE) if f"{UNITS}/{unit}" in manifests.planned("system")]


def prepare(pushed: Files, volume_device: str | None, standby: bool = False) -> None:
    check_system()
    if standby:
        check_idle()
    else:
        check_volume(volume_device)
    # First, because the unit that it belongs to mounts nothing without it.
    device = {DEVICE: File("0644", "root:root", f"[Mount]\nWhat={volume_device}\n")} if volume_device else {}
    files = {**device, **pushed}
    for name in files["/etc/mailhost/pushes"].text.split():
        DAEMONS[name].check_machine()
    # The hash of a file with a short password would tell it to who can try many.
    STATE.mkdir(exist_ok=True)
    STATE.chmod(0o700)
    IDLE.unlink(missing_ok=True)
    changed = [path for path, file in files.items() if live(path) != file]
    for path in changed:
        put(path, files[path])
    for path in {*manifests.owned("system")} - {*files}:
        pathlib.Path(path).unlink(missing_ok=True)
    if any(path.startswith("/etc/systemd/") for path in changed):
        run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--quiet", "mailhost-undo.service")
    run("systemctl", "enable", "--now", "--quiet", failures.TIMER)
    run("hostnamectl", "hostname", files["/etc/hostname"].text.strip())
    users.create()
    if standby:
        mount_memory()
    else:
        if volume_device:
            mount_volume(volume_device)
        mount_queue()
    install(pathlib.Path("/etc/mailhost/packages").read_text().split())
    run("systemd-tmpfiles", "--create", FOLDERS)
    # Not before: the system may resolve names there until it has a resolver of its own.
    run("systemctl", "enable", "--now", "--quiet", METADATA_GUARD)
    create_srs_key()
    run("systemctl", "enable", "--now", "--quiet", *health.OWN_TIMERS)
    manifests.write("system", files)
    for daemon in DAEMONS.values():
        if daemon not in wanted():
            withdraw(daemon)
    print(f"prepared: {', '.join(sorted(changed)) or 'nothing to change'}")


def check_system() -> None:
    system = dict(line.split("=", 1) for line in SYSTEM.read_text().splitlines() if "=" in line)
    name, version = (system.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    if (name, version) != ("debian", "13"):
        raise Failure(f"this machine runs {name} {version}, and the mail host needs Debian 13: install that")


def check_volume(device: str | None) -> None:
    """What was taken in must be found again."""
    had_volume = DEVICE in manifests.owned("system")
    if device is None and had_volume:
        raise Failure(
            f"the mail of this host lies on a volume, and is not copied to {ROOT} by itself: set machine.volumeDevice again"
        )
    if device is not None and not had_volume and not os.path.ismount(ROOT) and ROOT.exists() and any(ROOT.iterdir()):
        raise Failure(
            f"{device} would hide the mail in {ROOT}: move that to the volume by hand, or leave machine.volumeDevice out"
        )


def mount_volume(device: str) -> None:
    if not os.path.ismount(ROOT):
        check_file_system(device)
    run("systemctl", "enable", "--now", "--quiet", VOLUME)
    if os.stat(ROOT).st_dev != os.stat(device).st_rdev:
        raise Failure(f"{ROOT} is another volume than {device}: put another server in its place with serverGeneration")
    # The volume may have grown; says so and does nothing where it has not.
    run("resize2fs", device)


def is_standby() -> bool:
    return os.path.exists(STANDBY)


def check_idle() -> None:
    if os.path.ismount(ROOT) and not is_standby():
        raise Failure(f"{ROOT} is mounted: this server serves, and is no standby server")


def mount_memory() -> None:
    """In place of the volume. At the next boot nothing is mounted, and no daemon starts that needs it."""
    if not is_standby():
        put(STANDBY, File("0644", "root:root", "[Mount]\nWhat=tmpfs\nType=tmpfs\nOptions=mode=0755,size=25%\n"))
        run("systemctl", "daemon-reload")
    run("systemctl", "start", VOLUME)
    (ROOT / "queue").mkdir(parents=True, exist_ok=True)
    run("systemctl", "start", QUEUE)


def mount_queue() -> None:
    (ROOT / "queue").mkdir(parents=True, exist_ok=True)
    run("systemctl", "enable", "--now", "--quiet", QUEUE)


def check_file_system(device: str) -> None:
    """Repairs what can be repaired without asking; the server that had it last may have been killed."""
    result = subprocess.run(["e2fsck", "-p", device], capture_output=True, text=True, check=False)
    # 1: repaired, as e2fsck(8) has it.
    if result.returncode > 1:
        raise Failure(f"the file system of {device} is damaged: repair it with e2fsck\n{result.stdout}{result.stderr}")


def install(packages: Iterable[str]) -> None:
    """No daemon may start with Debian's default configuration, which takes mail in ways that nobody asked for."""
    try:
        install_missing(packages)
    finally:
        if POLICY.exists() and POLICY.read_text() == NO_STARTS:
            POLICY.unlink()
    # Nor after a reboot before its own files have come. A unit of our own comes with them.
    for daemon in wanted():
        if daemon.unit is not None and not manifests.owned(daemon.name):
            succeeds("systemctl", "disable", "--quiet", daemon.unit)


def install_missing(packages: Iterable[str]) -> None:
    missing = sorted({*packages} - installed_packages())
    begun = parsed(Installation, INSTALLING.read_text(), str(INSTALLING)) if INSTALLING.exists() else None
    if not missing and not begun:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    if not POLICY.exists():
        put(str(POLICY), File("0755", "root:root", NO_STARTS))
    wait_for_package_locks()
    first = begun is not None or not manifests.owned("system")
    if first and begun is None:
        begun = Installation(boot_id(), package_states())
        put_private(INSTALLING, json.dumps(begun, default=plain))
        os.sync()
    apt = ("apt-get", "--quiet", "--yes", "--option=DPkg::Lock::Timeout=300", "--option=Acquire::Retries=3")
    # Not all of what was cut off can be configured before the rest of it is there.
    with contextlib.suppress(Failure):
        run("dpkg", "--configure", "--pending", "--force-confdef", "--force-confold", env=environment)
    # Else it succeeds with old lists where a mirror is down, and the install fails for other words.
    run(*apt, "--error-on=any", "update", env=environment)
    torn = torn_packages(begun) if begun else []
    if torn:
        run(*apt, "clean", env=environment)
        # Apt's own configuration keeps configuration files as they are.
        as_packaged = dpkg_options("--no-force-confdef,confold", "--force-confask,confnew,confmiss")
        run(*apt, "install", "--reinstall", *as_packaged, *torn, env=environment)
    fast = ("--force-unsafe-io",) if first else ()
    install = (*apt, "install", "--no-install-recommends", *dpkg_options("--force-confdef,confold", *fast))
    try:
        run(*install, *missing, env=environment)
    except Failure:
        if succeeds(*apt, "check"):
            raise
        # By itself: beside the names of packages apt mends nothing.
        run(*install, "--fix-broken", env=environment)
        run(*install, *missing, env=environment)
    if first:
        os.sync()
        INSTALLING.unlink()


def dpkg_options(*options: str) -> list[str]:
    return [f"--option=Dpkg::Options::={option}" for option in options]


def boot_id() -> str:
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def package_states() -> dict[str, str]:
    """Version and state of each package that dpkg knows files of."""
    listed = run("dpkg-query", "--show", "--showformat=${binary:Package} ${Version} ${db:Status-Abbrev}\n")
    states = dict(line.split(" ", 1) for line in listed.splitlines())
    return {name: state for name, state in states.items() if state.split()[-1][1] not in "nc"}


def torn_packages(begun: Installation) -> list[str]:
    """What may lie on the disk in part only: the machine went down while it came."""
    if begun.boot == boot_id():
        return []
    return [name for name, state in package_states().items() if begun.packages.get(name) != state]


def wait_for_package_locks() -> None:
    """A first boot installs updates by itself; dpkg and `apt-get update` do not wait for that, whatever apt's options."""

    def free() -> bool:
        for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"):
            with open(path, "a") as lock:
                try:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return False
        return True

    wait_for("another program ends its work on Debian packages", free, 300)


def installed_packages() -> set[str]:
    listed = run("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n")
    return {name for name, state in map(str.split, listed.splitlines()) if state == "installed"}


def create_srs_key() -> None:
    """Nobody else needs to know it, so it never leaves the volume. Bounces come to addresses made with it for days."""
    path = ROOT / "srs.conf"
    if not path.exists():
        put_private(path, f'srs key "{secrets.token_hex(32)}"\n')
