"""sshd, which is never stopped: it is the way in."""

from mailhost.daemons.daemon import LOOPBACK, Daemon
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import answers, run, wait_for
from mailhost.transaction import Staged


class Ssh(Daemon):
    name = "ssh"
    # Before ours, and the first value of a keyword counts.
    reads = ("/etc/ssh/sshd_config.d/0*",)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("sshd", "-t")

    def restart(self, changed: list[str]) -> None:
        run("systemctl", "reload-or-restart", "ssh")
        (port,) = self.ports
        wait_for("sshd answers", lambda: answers((LOOPBACK, port.number), port.greeting), 30)
