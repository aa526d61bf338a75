"""The certificate of the host's name and its key, which several daemons serve, and the timer that renews it."""

import pathlib
from collections.abc import Set

from mailhost import certificates, pauses, tlsa
from mailhost.daemons.daemon import Service, restart_unit
from mailhost.daemons.dovecot import Dovecot
from mailhost.daemons.opensmtpd import OpenSmtpd
from mailhost.daemons.web import Web
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.served import wait_until_served
from mailhost.system import host_name, is_active, run, succeeds
from mailhost.transaction import Staged


class Tls(Service):
    name = "tls"
    readers = (Dovecot(), OpenSmtpd(), Web())

    def completed(self, files: Files, fresh: Set[str] = frozenset()) -> Files:
        if certificates.OWN_CHAIN not in files:
            return files
        own = certificates.Pair(files[certificates.OWN_CHAIN].text, files[certificates.OWN_KEY].text)
        pair = certificates.issued(host_name(), host_name() in fresh) or own
        served = pathlib.Path(certificates.KEY)
        # A key of an earlier time with this CA, which nobody expects any more.
        if pair.key not in (own.key, served.read_text() if served.exists() else pair.key):
            pair = own
        return files | certificates.pair_files((certificates.CHAIN, certificates.KEY), pair)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        chain, key = (files[path].text for path in (certificates.CHAIN, certificates.KEY))
        certificates.check_pair(chain, key, [host_name()])
        tlsa.check(files)
        if is_active(pauses.UNIT):
            staged("smtpd", "-n")

    def restart(self, changed: list[str]) -> None:
        if not changed or any(path.startswith("/etc/systemd/") for path in changed):
            run("systemctl", "daemon-reload")
            # The package's own renews what certbot keeps, and that is nothing here.
            succeeds("systemctl", "disable", "--now", "--quiet", "certbot.timer")
            run("systemctl", "enable", "--quiet", self.unit)
            restart_unit(self.unit)
        if changed and certificates.CHAIN not in changed and certificates.KEY not in changed:
            return
        chain = pathlib.Path(certificates.CHAIN).read_text()
        running = [reader for reader in self.readers if reader.is_running()]
        for reader in running:
            reader.take_certificate()
        for reader in running:
            for port in sorted(reader.answering_ports()):
                wait_until_served(port, host_name(), chain)
