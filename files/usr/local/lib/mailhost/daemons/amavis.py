"""amavis, which scans what comes in and signs what goes out."""

from mailhost import dkim, pauses
from mailhost.daemons.daemon import LOOPBACK, Endpoint, Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.transaction import Staged


class Amavis(Service):
    name = "amavis"
    unit = "amavis"
    reads = ("/etc/amavis/conf.d/*",)
    endpoints = (Endpoint((LOOPBACK, 10024), b"220 "), Endpoint((LOOPBACK, 10026), b"220 "))

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("amavisd", "test-config")
        dkim.check(files, owned)

    def restart(self, changed: list[str]) -> None:
        super().restart(changed)
        dkim.note_signers()

    def restart_service(self) -> None:
        with pauses.relaying_paused():
            super().restart_service()
