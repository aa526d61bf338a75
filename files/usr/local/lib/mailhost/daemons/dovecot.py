"""Dovecot, with the scripts of Sieve."""

import os
import pathlib
import tempfile
import time

from mailhost import folders, pauses
from mailhost.daemons.daemon import Endpoint, Service, reload_unit
from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run, succeeds
from mailhost.transaction import Staged, text_before

USERS, LOGINS, PASSWORDS = (f"/etc/dovecot/{name}" for name in ("users", "logins", "passwords"))
#: Names that are asked for of each file.
MOST = 10
SCRIPTS = "/etc/dovecot/sieve"
#: By the file: else it goes by what the running Dovecot has read.
COMPILER = ("sievec", "-c", "/etc/dovecot/dovecot.conf")


class Dovecot(Service):
    name = "dovecot"
    sockets = (Endpoint("/run/dovecot/lmtp", b"220 "),)

    def is_ready(self) -> bool:
        return super().is_ready() and not folders.to_convert()

    def take_certificate(self) -> None:
        reload_unit(self.unit)

    def reread(self, changed: list[str]) -> None:
        # Within one second its auth process looks at a file once (passwd_file_sync in its auth/db-passwd-file.c).
        time.sleep(1 - time.time() % 1)
        before = {path: entries(text_before(self, path)) for path in changed}
        after = {path: entries(pathlib.Path(path).read_text()) for path in changed}
        prove(before, after)
        for user in sorted(ended(before, after)):
            succeeds("doveadm", "kick", user)

    def restart_service(self) -> None:
        with pauses.delivery_paused():
            if folders.to_convert():
                run("systemctl", "stop", self.unit)
                folders.convert()
            super().restart_service()

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("doveconf", "-n")
        for path in files:
            if path.endswith(".sieve"):
                with tempfile.TemporaryDirectory() as folder:
                    staged(*COMPILER, path, f"{folder}/script.svbin")

    def prepare_restart(self) -> None:
        # Compiled by root: the mail user may not write there.
        for file in sorted(os.listdir(SCRIPTS)):
            if file.endswith(".sieve"):
                run(*COMPILER, f"{SCRIPTS}/{file}")
            elif f"{file.removesuffix('.svbin')}.sieve" not in os.listdir(SCRIPTS):
                os.unlink(f"{SCRIPTS}/{file}")


Entries = dict[str, str]


def entries(text: str | None) -> Entries:
    """The lines of a passwd-file(5) by the name that each begins with."""
    return {line.partition(":")[0]: line for line in (text or "").splitlines()}


def prove(before: dict[str, Entries], after: dict[str, Entries]) -> None:
    """
    Asks Dovecot for names whose lines have changed; raises Failure where it does not answer as the new lines say.

    It reads a file as a whole, so some of the names stand for all.
    """
    for path, lines in after.items():
        for name in sorted(differing(before[path], lines))[:MOST]:
            if not is_in_force(path, name, lines.get(name)):
                raise Failure(f"Dovecot does not know {name} as {path} has it")


def is_in_force(path: str, name: str, line: str | None) -> bool:
    # System users are known without a line, and have their passwords elsewhere.
    are_virtual = pathlib.Path(PASSWORDS).exists()
    if path != USERS:
        return not are_virtual or succeeds("doveadm", "auth", "lookup", name) == (line is not None)
    if not succeeds("doveadm", "user", name):
        return line is None
    quota = run("doveadm", "user", "-f", "quota_storage_size", name).strip()
    return (line is not None or not are_virtual) and quota == (line or "").partition("userdb_quota_storage_size=")[2]


def ended(before: dict[str, Entries], after: dict[str, Entries]) -> set[str]:
    """Accounts that are removed or have another password: whoever is logged in may be the reason."""
    passwords, logins = (
        differing(before.get(path, {}), after.get(path, {})) & set(before.get(path, {})) for path in (PASSWORDS, LOGINS)
    )
    gone = {name for name in logins if name not in after[LOGINS] and f"user={name} " in before[LOGINS][name]}
    return passwords | gone


def differing(before: Entries, after: Entries) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
