"""SpamAssassin: its rules, which amavis reads, and spamd, which learns."""

from mailhost.daemons.amavis import Amavis
from mailhost.daemons.daemon import Endpoint, Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run
from mailhost.transaction import Staged

#: Off in Debian.
RULE_UPDATES = "spamassassin-maintenance.timer"


class SpamAssassin(Service):
    name = "spamassassin"
    unit = "spamd"
    reads = ("/etc/spamassassin/*.cf", "/etc/spamassassin/*.pre")
    endpoints = (Endpoint("/run/spamd/spamd.sock"),)
    readers = (Amavis(),)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("spamassassin", "--lint")

    def prepare_restart(self) -> None:
        run("systemctl", "enable", "--now", "--quiet", RULE_UPDATES)
