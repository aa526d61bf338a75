"""The daemons: how each is checked, restarted, and known to answer."""

import contextlib
import pathlib
from collections.abc import Iterator, Set

from mailhost import manifests, pauses
from mailhost.daemons.accounts import Accounts
from mailhost.daemons.amavis import Amavis
from mailhost.daemons.antivirus import ClamAv
from mailhost.daemons.backup import Backup
from mailhost.daemons.daemon import Daemon
from mailhost.daemons.dovecot import Dovecot
from mailhost.daemons.fail2ban import Fail2ban
from mailhost.daemons.figures import Figures
from mailhost.daemons.firewall import Firewall
from mailhost.daemons.opensmtpd import OpenSmtpd
from mailhost.daemons.resolver import Resolver
from mailhost.daemons.spamassassin import SpamAssassin
from mailhost.daemons.ssh import Ssh
from mailhost.daemons.tls import Tls
from mailhost.daemons.web import Web
from mailhost.files import live
from mailhost.system import HOST_LOCK, locked
from mailhost.transaction import activate, go_back, unended

#: By their names, in the order in which they are pushed.
DAEMONS: dict[str, Daemon] = {
    daemon.name: daemon
    for daemon in (
        Firewall(),
        Ssh(),
        Fail2ban(),
        Resolver(),
        Tls(),
        Accounts(),
        SpamAssassin(),
        Dovecot(),
        ClamAv(),
        Amavis(),
        OpenSmtpd(),
        Web(),
        Figures(),
        Backup(),
    )
}


def wanted() -> list[Daemon]:
    """The ones that the settings ask for."""
    return [DAEMONS[name] for name in pathlib.Path("/etc/mailhost/pushes").read_text().split()]


@contextlib.contextmanager
def host_alone() -> Iterator[None]:
    """Nothing else changes the host meanwhile. What a command that was cut off has left half-way is put right first."""
    with locked(HOST_LOCK):
        pauses.release()
        for daemon in unended(DAEMONS.values()):
            print(f"{daemon.name}: a push was cut off; {go_back(daemon)}")
        yield


def reactivate(daemon: Daemon, fresh: Set[str]) -> str:
    """As the push of what the daemon has already, with certificates that are new."""
    files = {path: file for path in manifests.owned(daemon.name) if (file := live(path)) is not None}
    return activate(daemon, daemon.completed(files, fresh))
