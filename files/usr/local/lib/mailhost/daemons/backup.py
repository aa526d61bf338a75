"""The timer of the backups."""

import shutil

from mailhost import backup
from mailhost.daemons.daemon import Daemon
from mailhost.system import is_active, run


class Backup(Daemon):
    name = "backup"

    def is_running(self) -> bool:
        return is_active(backup.TIMER)

    def start(self) -> None:
        if not backup.RESTORE.exists():
            # It was given up.
            backup.MARK.unlink(missing_ok=True)
        backup.open_repository()
        run("systemctl", "enable", "--quiet", backup.TIMER)
        run("systemctl", "restart", backup.TIMER)

    def stop(self) -> None:
        run("systemctl", "disable", "--now", "--quiet", backup.TIMER)
        shutil.rmtree(backup.COPY, ignore_errors=True)
