"""fail2ban, which shuts out who tries passwords."""

from mailhost.daemons.daemon import Endpoint, Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.transaction import Staged


class Fail2ban(Service):
    name = "fail2ban"
    reads = ("/etc/fail2ban/jail.d/*",)
    sockets = (Endpoint("/run/fail2ban/fail2ban.sock"),)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("fail2ban-client", "--test")
