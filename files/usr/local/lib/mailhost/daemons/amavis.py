"""amavis, which scans what comes in and signs what goes out."""

from mailhost import dkim, pauses
from mailhost.daemons.daemon import Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.transaction import Staged


class Amavis(Service):
    name = "amavis"
    reads = ("/etc/amavis/conf.d/*",)

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        staged("amavisd", "test-config")
        dkim.check(files, owned)

    def restart(self, changed: list[str]) -> None:
        super().restart(changed)
        dkim.note_signers()

    def restart_service(self) -> None:
        with pauses.relaying_paused():
            super().restart_service()
