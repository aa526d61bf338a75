"""nftables, with the rules of the host's own firewall."""

from mailhost.daemons.daemon import Service
from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run
from mailhost.transaction import Staged


class Firewall(Service):
    name = "firewall"

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("nft", "--check", "--file", "/etc/nftables.conf")

    def is_ready(self) -> bool:
        return super().is_ready() and self.is_in_force()

    def is_in_force(self) -> bool:
        """Whether the kernel has the rules of the file: what these look like there, an empty network namespace shows."""
        table = "nft --stateless list table inet mailhost"
        try:
            there = run(*table.split())
            planned = run("unshare", "--net", "sh", "-c", f"nft --file /etc/nftables.conf && {table}")
        except Failure:
            return False
        return there == planned

    def restart_service(self) -> None:
        # A reload puts the new rules in the place of the old in one step; a restart drops all, fail2ban's too.
        run("systemctl", "reload-or-restart", self.unit)
