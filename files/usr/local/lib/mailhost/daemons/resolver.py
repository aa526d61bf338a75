"""unbound, the host's own resolver."""

from mailhost import resolver
from mailhost.daemons.daemon import Service
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run
from mailhost.transaction import Staged


class Resolver(Service):
    name = "resolver"

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        # As the unit does at each start: before the first there is no copy of the root's key, which the check asks for.
        run("/usr/libexec/unbound-helper", "root_trust_anchor_update")
        staged("unbound-checkconf")

    def restart(self, changed: list[str]) -> None:
        super().restart(changed)
        resolver.ask_own_resolver()
