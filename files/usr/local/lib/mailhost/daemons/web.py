"""nginx, which goes on answering with what it had while it takes other files."""

import os
import pathlib
from collections.abc import Iterable, Set

from mailhost import certificates
from mailhost.daemons.daemon import Service, journal, reload_unit
from mailhost.failure import Failure
from mailhost.files import Files, beside
from mailhost.manifests import Manifest
from mailhost.served import wait_until_served
from mailhost.system import run, wait_for
from mailhost.transaction import Staged

#: One file for each domain.
SITES = "/etc/nginx/sites"
#: For Apple's devices: as it is pushed, and signed with the certificate that is served.
PROFILE = "/usr/local/share/mailhost/apple.mobileconfig"
SIGNED_PROFILE = "/usr/local/share/mailhost/web/apple.mobileconfig"


class Web(Service):
    name = "web"

    def completed(self, files: Files, fresh: Set[str] = frozenset()) -> Files:
        """Each domain's certificate; until there is one, that of the host's name."""
        own = None
        added: Files = {}
        for domain in domains(files):
            own = own or certificates.own_pair()
            pair = certificates.issued(domain, domain in fresh) or own
            added |= certificates.pair_files(certificates.paths_of_domain(domain), pair)
        return files | added

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        for domain in domains(files):
            chain, key = certificates.paths_of_domain(domain)
            certificates.check_pair(files[chain].text, files[key].text, [])
        staged("nginx", "-t")

    def restart(self, changed: list[str]) -> None:
        super().restart(changed)
        for path in changed:
            if path.startswith(certificates.FOLDER) and path.endswith("fullchain.pem") and os.path.exists(path):
                name = f"mta-sts.{path.split('/')[-2]}"
                wait_until_served(443, name, pathlib.Path(path).read_text())

    def stop(self) -> None:
        super().stop()
        pathlib.Path(SIGNED_PROFILE).unlink(missing_ok=True)

    def restart_service(self) -> None:
        sign_profile()
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

    def workers(self) -> set[str]:
        master = run("systemctl", "show", "--property", "MainPID", "--value", self.unit).strip()
        return set(run("pgrep", "--parent", master).split())


def domains(paths: Iterable[str]) -> list[str]:
    """The ones that have names of their own, by the files that configure these."""
    return [path.removeprefix(f"{SITES}/").removesuffix(".conf") for path in paths if path.startswith(SITES)]


def sign_profile() -> None:
    if not os.path.exists(PROFILE):
        pathlib.Path(SIGNED_PROFILE).unlink(missing_ok=True)
        return
    new = beside(SIGNED_PROFILE)
    run("openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-in", PROFILE, "-out", new,
        "-signer", certificates.CHAIN, "-certfile", certificates.CHAIN, "-inkey", certificates.KEY)  # fmt: skip
    os.chmod(new, 0o644)
    os.replace(new, SIGNED_PROFILE)
