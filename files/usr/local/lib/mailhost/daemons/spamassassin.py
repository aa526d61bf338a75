"""SpamAssassin: its rules, which amavis reads, and spamd, which learns."""

from mailhost.daemons.amavis import Amavis
from mailhost.daemons.daemon import Endpoint, Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run
from mailhost.transaction import Staged


class SpamAssassin(Service):
    name = "spamassassin"
    reads = ("/etc/spamassassin/*.cf", "/etc/spamassassin/*.pre")
    sockets = (Endpoint("/run/spamd/spamd.sock"),)
    readers = (Amavis(),)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("spamassassin", "--lint")

    def prepare_restart(self) -> None:
        # Updates of the rules are off in Debian.
        run("systemctl", "enable", "--now", "--quiet", *self.timers)
