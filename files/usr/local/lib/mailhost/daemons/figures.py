"""The timer that collects the figures."""

from mailhost.daemons.daemon import Daemon, stop_units
from mailhost.figures import metrics
from mailhost.system import is_active, run


class Figures(Daemon):
    name = "figures"

    def is_running(self) -> bool:
        return all(is_active(timer) for timer in self.timers)

    def prepare_restart(self) -> None:
        if metrics.FOLDERS.exists():
            run("systemd-tmpfiles", "--create", str(metrics.FOLDERS))

    def start(self) -> None:
        run("systemctl", "enable", "--quiet", *self.timers)
        run("systemctl", "restart", *self.timers)

    def stop(self) -> None:
        stop_units(*self.timers)
