"""ClamAV, and the service that gets its signatures."""

import socket
import time

from mailhost.daemons.daemon import Service, stop_units
from mailhost.failure import Failure
from mailhost.system import run, succeeds, wait_for

UPDATES = "clamav-freshclam"
#: See sysusers.d(5).
GROUPS = "/etc/sysusers.d/mailhost-antivirus.conf"
SOCKET = "/run/clamav/clamd.ctl"
#: Bytes. Its signatures alone take more than 1 GB, and twice that while they are loaded anew.
LEAST_MEMORY = 3.5e9
#: Seconds. Some 300 MB of signatures have to come first.
PATIENCE = 600


class ClamAv(Service):
    name = "antivirus"

    def check_machine(self) -> None:
        with open("/proc/meminfo") as file:
            memory = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemTotal:"))
        if memory < LEAST_MEMORY:
            raise Failure(
                f"antivirus needs 4 GB of memory, and this machine has {memory / 1e9:.1f}: "
                "choose a larger serverType, or set antivirus to false"
            )

    def prepare_restart(self) -> None:
        # amavis shows it the parts of a message as files.
        run("systemd-sysusers", GROUPS)
        run("systemctl", "enable", "--now", "--quiet", UPDATES)

    def restart_service(self) -> None:
        # Before its signatures have come it does not start, and says nothing.
        succeeds("systemctl", "stop", self.unit)
        wait_for(f"ClamAV gets its signatures: journalctl --unit {UPDATES}", started, PATIENCE)

    def stop(self) -> None:
        stop_units("clamav-daemon.socket", self.unit, UPDATES)


def started() -> bool:
    succeeds("systemctl", "start", "clamav-daemon")
    if answers():
        return True
    time.sleep(5)
    return False


def answers() -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(SOCKET)
            connection.sendall(b"zPING\0")
            return connection.recv(10) == b"PONG\0"
    except OSError:
        return False
