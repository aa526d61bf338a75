"""The daemons: how each is checked, restarted, and known to answer."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from mailhost import accounts, antivirus, backup, certificates, dkim, folders, manifests, pauses, resolver, served, tlsa
from mailhost.failure import Failure
from mailhost.files import beside, pushed
from mailhost.system import HOST_LOCK, answers, host_name, is_active, is_enabled, locked, run, succeeds, wait_for
from mailhost.transaction import activate, go_back, unended

LOOPBACK = "127.0.0.1"
#: Seconds that OpenSMTPD has to end its sessions with amavis before a restart cuts them. An ordinary message takes one.
DRAIN = 5


class Daemon:
    """One push: its files, and the service that they configure, if any."""

    name = ""
    unit: str | None = None
    #: Where it must answer: (address, greeting) each; no greeting where the service waits for the client.
    endpoints: list = []
    #: TCP ports that it opens to others.
    public_ports: set = set()
    #: Services that read these files too, and are restarted with it where they run.
    readers: list = []
    #: Patterns of files that it reads besides its own and the drop-ins of its unit.
    reads: list = []

    def completed(self, files: dict, fresh: set = frozenset()) -> dict:
        """
        The pushed files with what the host itself has to add.

        `fresh` names the certificates that are to be served for the first time.
        """
        return files

    def check(self, files: dict, staged, owned: dict) -> None:
        """Raises Failure for files that the daemon would not run with; `staged` runs a command that sees them in place."""

    def answering_ports(self) -> set:
        """The public ports that serve a certificate now, or port 80."""
        return self.public_ports

    def is_running(self) -> bool:
        return self.unit is None or is_active(self.unit)

    def is_ready(self) -> bool:
        """Whether it runs, and will after a reboot."""
        return self.is_running() and (self.unit is None or is_enabled(self.unit))

    def prepare_restart(self) -> None:
        """What is made from the files before the service reads them."""

    def restart(self, changed: list) -> None:
        if any(path.startswith("/etc/systemd/") for path in changed):
            run("systemctl", "daemon-reload")
        self.prepare_restart()
        if self.unit is not None:
            run("systemctl", "enable", "--quiet", self.unit)
            self.restart_service()
        for reader in self.readers:
            if reader.is_running():
                reader.restart_service()

    def restart_service(self) -> None:
        restart_unit(self.unit)
        self.wait()

    def take_certificate(self) -> None:
        """Serves what lies in the files now."""
        self.restart_service()

    def wait(self) -> None:
        """Until the service answers; raises Failure with its own words where it ends instead."""
        for address, greeting in self.endpoints:

            def ready(address=address, greeting=greeting):
                if not is_active(self.unit):
                    raise Failure(f"{self.unit} ended:\n{journal(self.unit)}")
                return answers(address, greeting)

            try:
                wait_for(f"{self.unit} answers on {address}", ready, 90)
            except Failure as failure:
                raise Failure(f"{failure}\n{journal(self.unit)}") from failure

    def stop(self) -> None:
        if self.unit is not None:
            run("systemctl", "disable", "--now", "--quiet", self.unit)


def reload_unit(unit: str) -> None:
    begin = time.time()
    try:
        run("systemctl", "reload", unit)
    except Failure as failure:
        raise Failure(f"{failure}\n{journal(unit, begin)}") from failure


def restart_unit(unit: str) -> None:
    # A unit that failed too often in a short time is refused a start until this.
    subprocess.run(["systemctl", "reset-failed", unit], capture_output=True, check=False)
    begin = time.time()
    try:
        run("systemctl", "restart", unit)
    except Failure as failure:
        raise Failure(f"{failure}\n{journal(unit, begin)}") from failure


def journal(unit: str, since: float | None = None) -> str:
    """
    The service's last words, since that time or its last start.

    What a process wrote right before its end may have no invocation: journald looks for that when the process is gone.
    """
    of = ["--invocation=0"] if since is None else [f"--since=@{since:.6f}"]
    words = subprocess.run(
        ["journalctl", "--unit", unit, *of, "--lines", "20", "--no-pager", "--output", "cat"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return words.strip()


class Firewall(Daemon):
    name = "firewall"
    unit = "nftables"

    def check(self, files, staged, owned):
        staged("nft", "--check", "--file", "/etc/nftables.conf")

    def is_ready(self):
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

    def restart_service(self):
        # A reload puts the new rules in the place of the old in one step; a restart drops all, fail2ban's too.
        run("systemctl", "reload-or-restart", self.unit)


class Ssh(Daemon):
    """sshd, without `unit`: the way in is never stopped."""

    name = "ssh"
    # Before ours, and the first value of a keyword counts.
    reads = ["/etc/ssh/sshd_config.d/0*"]

    def check(self, files, staged, owned):
        staged("sshd", "-t")

    def restart(self, changed):
        run("systemctl", "reload-or-restart", "ssh")
        wait_for("sshd answers", lambda: answers((LOOPBACK, 22), b"SSH-2.0-"), 30)


class Fail2ban(Daemon):
    name = "fail2ban"
    unit = "fail2ban"
    reads = ["/etc/fail2ban/jail.d/*"]
    endpoints = [("/run/fail2ban/fail2ban.sock", b"")]

    def check(self, files, staged, owned):
        staged("fail2ban-client", "--test")


class OpenSmtpd(Daemon):
    name = "opensmtpd"
    unit = "opensmtpd"
    public_ports = {25, 465, 587}

    @property
    def endpoints(self):
        # It greets nobody while an operator has it take no mail.
        greeting = b"" if is_reception_paused() else b"220 "
        return [((LOOPBACK, port), greeting) for port in (25, 587, 10025, 10027, 10029, 10030)] + [
            ((LOOPBACK, 465), b"")
        ]

    def answering_ports(self):
        return set() if is_reception_paused() else self.public_ports

    def check(self, files, staged, owned):
        for path, file in files.items():
            if path.startswith("/etc/smtpd/"):
                check_table(path, file["text"])
        staged("smtpd", "-n")

    def restart_service(self):
        with relaying_paused():
            if self.is_running():
                pauses.hold("smtp")
                # Who waits to be let in is nobody's yet, and tries again. A client that stays connected does not hold it up.
                sessions = ("ss", "--tcp", "--no-header", "--processes", "state", "established",
                            "( sport = :25 or sport = :465 or sport = :587 )")  # fmt: skip
                with contextlib.suppress(Failure):
                    wait_for("sessions with others end", lambda: "smtpd" not in run(*sessions), 15)
            super().restart_service()


def check_table(path: str, text: str) -> None:
    """OpenSMTPD takes a malformed table in silence, and then refuses everyone."""
    keyed = path.endswith(("virtuals", "credentials", "identities", "logins", "smarthost"))
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.split(None, 1)) != (2 if keyed else 1):
            # The line itself may hold a secret.
            raise Failure(f"{path}, line {number}: is no {'pair of key and value' if keyed else 'single entry'}")


class Dovecot(Daemon):
    name = "dovecot"
    unit = "dovecot"
    public_ports = {993, 4190}
    endpoints = [((LOOPBACK, 993), b""), ((LOOPBACK, 4190), b'"IMPLEMENTATION"'), ("/run/dovecot/lmtp", b"220 ")]
    scripts = "/etc/dovecot/sieve"
    # By the file: else it goes by what the running Dovecot has read.
    compiler = ("sievec", "-c", "/etc/dovecot/dovecot.conf")

    def is_ready(self):
        return super().is_ready() and not folders.to_convert()

    def take_certificate(self):
        reload_unit(self.unit)

    def restart_service(self):
        if folders.to_convert():
            run("systemctl", "stop", self.unit)
            folders.convert()
        super().restart_service()

    def check(self, files, staged, owned):
        staged("doveconf", "-n")
        for path in files:
            if path.endswith(".sieve"):
                with tempfile.TemporaryDirectory() as folder:
                    staged(*self.compiler, path, f"{folder}/script.svbin")

    def prepare_restart(self):
        # Compiled by root: the mail user may not write there.
        for file in sorted(os.listdir(self.scripts)):
            if file.endswith(".sieve"):
                run(*self.compiler, f"{self.scripts}/{file}")
            elif f"{file.removesuffix('.svbin')}.sieve" not in os.listdir(self.scripts):
                os.unlink(f"{self.scripts}/{file}")


class Amavis(Daemon):
    name = "amavis"
    unit = "amavis"
    reads = ["/etc/amavis/conf.d/*"]
    endpoints = [((LOOPBACK, 10024), b"220 "), ((LOOPBACK, 10026), b"220 ")]

    def check(self, files, staged, owned):
        staged("amavisd", "test-config")
        dkim.check(files, owned)

    def restart(self, changed):
        super().restart(changed)
        dkim.note_signers()

    def restart_service(self):
        with relaying_paused():
            super().restart_service()


@contextlib.contextmanager
def relaying_paused():
    """
    Lets OpenSMTPD end what it is giving to amavis, and keeps it from giving more.

    A message under way would be sent twice, where amavis had passed it on and could not say so. What takes longer than
    that is being scanned; it is cut, and gets a shorter scan when it comes again.
    """
    if not is_active(OpenSmtpd.unit):
        yield
        return
    pauses.hold("mta")
    try:
        sessions = ("ss", "--tcp", "--no-header", "state", "established", "( dport = :10024 or dport = :10026 )")
        with contextlib.suppress(Failure):
            wait_for("OpenSMTPD ends its sessions with amavis", lambda: not run(*sessions).strip(), DRAIN)
        yield
    finally:
        pauses.release()


def is_reception_paused() -> bool:
    return "smtp" in pauses.by_operator()


@contextlib.contextmanager
def host_alone():
    """Nothing else changes the host meanwhile. What a command that was cut off has left half-way is put right first."""
    with locked(HOST_LOCK):
        pauses.release()
        for daemon in unended(DAEMONS.values()):
            print(f"{daemon.name}: a push was cut off; {go_back(daemon)}")
        yield


class Resolver(Daemon):
    name = "resolver"
    unit = "unbound"
    endpoints = [((resolver.ADDRESS, 53), b"")]

    def check(self, files, staged, owned):
        # As the unit does at each start: before the first there is no copy of the root's key, which the check asks for.
        run("/usr/libexec/unbound-helper", "root_trust_anchor_update")
        staged("unbound-checkconf")

    def restart(self, changed):
        super().restart(changed)
        resolver.ask_own_resolver()


class ClamAv(Daemon):
    name = "antivirus"
    unit = "clamav-daemon"

    def prepare_restart(self):
        # amavis shows it the parts of a message as files.
        run("usermod", "--append", "--groups", "amavis", "clamav")
        run("systemctl", "enable", "--now", "--quiet", antivirus.UPDATES)

    def restart_service(self):
        # Before its signatures have come it does not start, and says nothing.
        succeeds("systemctl", "stop", self.unit)
        wait_for(
            f"ClamAV gets its signatures: journalctl --unit {antivirus.UPDATES}", antivirus.started, antivirus.PATIENCE
        )

    def stop(self):
        run("systemctl", "disable", "--now", "--quiet", "clamav-daemon.socket", self.unit, antivirus.UPDATES)


#: Off in Debian.
RULE_UPDATES = "spamassassin-maintenance.timer"


class SpamAssassin(Daemon):
    name = "spamassassin"
    unit = "spamd"
    reads = ["/etc/spamassassin/*.cf", "/etc/spamassassin/*.pre"]
    endpoints = [("/run/spamd/spamd.sock", b"")]
    readers = [Amavis()]

    def check(self, files, staged, owned):
        staged("spamassassin", "--lint")

    def prepare_restart(self):
        run("systemctl", "enable", "--now", "--quiet", RULE_UPDATES)


class Web(Daemon):
    """nginx, which goes on answering with what it had while it takes other files."""

    name = "web"
    unit = "nginx"
    public_ports = {80, 443}
    endpoints = [((LOOPBACK, port), b"") for port in (80, 443)]
    #: One file for each domain.
    sites = "/etc/nginx/sites"
    #: For Apple's devices: as it is pushed, and signed with the certificate that is served.
    profile = "/usr/local/share/mailhost/apple.mobileconfig"
    signed_profile = "/usr/local/share/mailhost/web/apple.mobileconfig"

    def completed(self, files, fresh=frozenset()):
        """Each domain's certificate; until there is one, that of the host's name."""
        own = None
        added = {}
        for domain in self.domains(files):
            own = own or own_pair()
            pair = certificates.issued(domain, domain in fresh) or own
            added |= pair_files(certificates.paths_of_domain(domain), pair)
        return files | added

    def domains(self, files) -> list:
        """The ones that have names of their own, by the file that configures these."""
        return [
            path.removeprefix(f"{self.sites}/").removesuffix(".conf") for path in files if path.startswith(self.sites)
        ]

    def check(self, files, staged, owned):
        for domain in self.domains(files):
            chain, key = certificates.paths_of_domain(domain)
            certificates.check_pair(files[chain]["text"], files[key]["text"], [])
        staged("nginx", "-t")

    def restart(self, changed):
        super().restart(changed)
        for path in changed:
            if path.startswith(certificates.FOLDER) and path.endswith("fullchain.pem") and os.path.exists(path):
                name = f"mta-sts.{path.split('/')[-2]}"
                wait_until_served(443, name, pathlib.Path(path).read_text())

    def sign_profile(self) -> None:
        if not os.path.exists(self.profile):
            pathlib.Path(self.signed_profile).unlink(missing_ok=True)
            return
        new = beside(self.signed_profile)
        run("openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-in", self.profile, "-out", new,
            "-signer", certificates.CHAIN, "-certfile", certificates.CHAIN, "-inkey", certificates.KEY)  # fmt: skip
        os.chmod(new, 0o644)
        os.replace(new, self.signed_profile)

    def stop(self):
        super().stop()
        pathlib.Path(self.signed_profile).unlink(missing_ok=True)

    def restart_service(self):
        self.sign_profile()
        if not self.is_running():
            super().restart_service()
            return
        before = self.workers()
        reload_unit(self.unit)
        try:
            # It has no new worker where it could not take the files.
            wait_for("nginx works with its new files", lambda: self.workers() - before, 30)
        except Failure as failure:
            raise Failure(f"{failure}\n{journal(self.unit)}") from failure

    def workers(self) -> set:
        master = run("systemctl", "show", "--property", "MainPID", "--value", self.unit).strip()
        return set(run("pgrep", "--parent", master).split())


class Tls(Daemon):
    """The certificate of the host's name and its key, which several daemons serve, and the timer that renews it."""

    name = "tls"
    unit = "mailhost-renew.timer"
    readers = [Dovecot(), OpenSmtpd(), Web()]

    def completed(self, files, fresh=frozenset()):
        if certificates.OWN_CHAIN not in files:
            return files
        own = certificates.Pair(files[certificates.OWN_CHAIN]["text"], files[certificates.OWN_KEY]["text"])
        pair = certificates.issued(host_name(), host_name() in fresh) or own
        served = pathlib.Path(certificates.KEY)
        # A key of an earlier time with this CA, which nobody expects any more.
        if pair.key not in (own.key, served.read_text() if served.exists() else pair.key):
            pair = own
        return files | pair_files((certificates.CHAIN, certificates.KEY), pair)

    def check(self, files, staged, owned):
        chain, key = (files[path]["text"] for path in (certificates.CHAIN, certificates.KEY))
        certificates.check_pair(chain, key, [host_name()])
        tlsa.check(files)
        if is_active(OpenSmtpd.unit):
            staged("smtpd", "-n")

    def restart(self, changed):
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
            for port in sorted(reader.answering_ports() - {80}):
                wait_until_served(port, host_name(), chain)


def own_pair() -> certificates.Pair:
    """The pair that the stack has made, and in its absence the one that is served."""
    paths = (certificates.OWN_CHAIN, certificates.OWN_KEY)
    if not os.path.exists(paths[0]):
        paths = (certificates.CHAIN, certificates.KEY)
    return certificates.Pair(*(pathlib.Path(path).read_text() for path in paths))


def pair_files(paths: tuple, pair: certificates.Pair) -> dict:
    return {
        path: {"mode": mode, "owner": "root:root", "text": text}
        for path, mode, text in zip(paths, ("0644", "0600"), (pair.chain, pair.key), strict=True)
    }


def wait_until_served(port: int, name: str, chain: str) -> None:
    wrong = None

    def right():
        nonlocal wrong
        wrong = served.differs(port, name, chain)
        return wrong is None

    try:
        wait_for("every port serves the new certificate", right, 60)
    except Failure as failure:
        raise Failure(f"{failure}; {wrong}") from failure


def reactivate(daemon: Daemon, fresh: set) -> str:
    """As the push of what the daemon has already, with certificates that are new."""
    files = {path: file for path in manifests.owned(daemon.name) if (file := pushed(path)) is not None}
    return activate(daemon, daemon.completed(files, fresh))


class Accounts(Daemon):
    """System users, where accounts are such."""

    name = "accounts"

    def check(self, files, staged, owned):
        accounts.check(files)

    def restart(self, changed):
        accounts.apply()

    def stop(self):
        accounts.close(accounts.present())


class Backup(Daemon):
    """The timer of the backups."""

    name = "backup"

    def is_running(self):
        return is_active(backup.TIMER)

    def restart(self, changed):
        super().restart(changed)
        if not backup.RESTORE.exists():
            # It was given up.
            backup.MARK.unlink(missing_ok=True)
        backup.open_repository()
        run("systemctl", "enable", "--quiet", backup.TIMER)
        run("systemctl", "restart", backup.TIMER)

    def stop(self):
        run("systemctl", "disable", "--now", "--quiet", backup.TIMER)
        shutil.rmtree(backup.COPY, ignore_errors=True)


DAEMONS = {
    daemon.name: daemon
    for daemon in (
        Firewall(), Ssh(), Fail2ban(), Resolver(), Tls(), Accounts(), SpamAssassin(), Dovecot(), ClamAv(), Amavis(), OpenSmtpd(), Web(),
        Backup(),
    )
}  # fmt: skip


def wanted() -> list:
    """The ones that the settings ask for."""
    return [DAEMONS[name] for name in pathlib.Path("/etc/mailhost/pushes").read_text().split()]
