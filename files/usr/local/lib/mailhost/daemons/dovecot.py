"""Dovecot, with the scripts of Sieve."""

import os
import tempfile

from mailhost import folders, pauses
from mailhost.daemons.daemon import Endpoint, Service, reload_unit
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run
from mailhost.transaction import Staged

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
