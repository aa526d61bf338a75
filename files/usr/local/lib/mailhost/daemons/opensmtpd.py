"""OpenSMTPD, with its tables and filters."""

import contextlib
from collections.abc import Iterator, Sequence, Set

from mailhost import pauses
from mailhost.daemons.daemon import Endpoint, Service
from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run, wait_for
from mailhost.transaction import Staged

#: Seconds that transfers, and then sessions with clients, have to end before a restart cuts them off.
PATIENCE = 15
#: Those of its configuration that change with accounts, aliases and domains, in the order in which they are updated.
TABLES = ("onward", "late", "virtuals", "credentials", "elsewhere", "forwarded", "domains", "recipients")


class OpenSmtpd(Service):
    name = "opensmtpd"

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        # It greets nobody while an operator has it take no mail.
        paused = pauses.is_reception_paused()
        return [Endpoint(one.address) if paused else one for one in super().endpoints]

    def answering_ports(self) -> Set[int]:
        return frozenset() if pauses.is_reception_paused() else super().answering_ports()

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        for path, file in files.items():
            if path.startswith("/etc/smtpd/"):
                check_table(path, file.text)
        staged("smtpd", "-n")

    def reread(self, changed: list[str]) -> None:
        # The filters look at their files whenever they are asked. Of the tables, what an address leads to comes before the
        # address is taken in. Where one cannot be read, OpenSMTPD keeps the old one and the command fails.
        for table in TABLES:
            if f"/etc/smtpd/{table}" in changed or (table == "credentials" and "/etc/smtpd/logins" in changed):
                run("smtpctl", "update", "table", table)

    def restart_service(self) -> None:
        with self.drained():
            super().restart_service()

    @contextlib.contextmanager
    def drained(self) -> Iterator[None]:
        """Takes nothing, and has handed over what it had begun."""
        with pauses.relaying_paused():
            if self.is_running():
                # Clients are served until the transfers have ended.
                pauses.hold("mda")
                with contextlib.suppress(Failure):
                    wait_for("transfers end", lambda: not pauses.transfers("mda", "mta"), PATIENCE)
                pauses.hold("smtp")
                # Clients that wait for a connection have handed over nothing yet. One that stays connected is cut off in the end.
                ours = " or ".join(f"sport = :{port}" for port in sorted(self.public_ports))
                sessions = ("ss", "--tcp", "--no-header", "--processes", "state", "established", f"( {ours} )")
                with contextlib.suppress(Failure):
                    wait_for("sessions with clients end", lambda: "smtpd" not in run(*sessions), PATIENCE)
            yield


def check_table(path: str, text: str) -> None:
    """OpenSMTPD takes a malformed table in silence, and then refuses everyone."""
    keyed = path.endswith(("virtuals", "onward", "late", "credentials", "identities", "logins", "smarthost"))
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.split(None, 1)) != (2 if keyed else 1):
            # The line itself may hold a secret.
            raise Failure(f"{path}, line {number}: is no {'pair of key and value' if keyed else 'single entry'}")
