"""What a push is: files, checked and put in force for a daemon."""

import dataclasses
import subprocess
import time
from collections.abc import Sequence, Set

from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.specs import SPECS, Port
from mailhost.system import Address, answers, is_active, is_enabled, run, succeeds, wait_for
from mailhost.transaction import Staged

LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Endpoint:
    address: Address
    #: What its first answer starts with; empty where the service waits for the client.
    greeting: bytes = b""


class Daemon:
    """One push: its files, of a service that is never stopped or of none."""

    name: str
    #: The service that the files configure, if any.
    unit: str | None = None
    #: Further units that run and start at boot.
    timers: Sequence[str] = ()
    ports: Sequence[Port] = ()
    #: Files that it takes over while it runs: where no other changes, `reread` is called and nothing restarts.
    rereads: Set[str] = frozenset()
    #: Services that read these files too, and are restarted with it where they run.
    readers: "Sequence[Service]" = ()
    #: Patterns of files that it reads besides its own and the drop-ins of its unit.
    reads: Sequence[str] = ()

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "name"):
            spec = SPECS[cls.name]
            cls.unit, cls.timers, cls.ports = spec.unit, spec.timers, spec.ports
            cls.rereads = frozenset(spec.rereads)

    @property
    def public_ports(self) -> Set[int]:
        return frozenset(port.number for port in self.ports if port.public)

    def completed(self, files: Files, fresh: Set[str] = frozenset()) -> Files:
        """
        The pushed files with what the host itself has to add.

        `fresh` names the certificates that are to be served for the first time.
        """
        return files

    def check_machine(self) -> None:
        """Raises Failure for a machine that it would not run on."""

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        """Raises Failure for files that the daemon would not run with; `staged` runs a command that sees them in place."""

    def answering_ports(self) -> Set[int]:
        """The public ports that serve a certificate now."""
        return frozenset(port.number for port in self.ports if port.public and port.security)

    def is_running(self) -> bool:
        return True

    def is_ready(self) -> bool:
        """Whether it runs, and will after a reboot."""
        return self.is_running()

    def restart(self, changed: list[str]) -> None:
        if any(path.startswith("/etc/systemd/") for path in changed):
            run("systemctl", "daemon-reload")
        self.prepare_restart()
        self.start()
        for reader in self.readers:
            if reader.is_running():
                reader.restart_service()

    def prepare_restart(self) -> None:
        """What is made from the files before the service reads them."""

    def start(self) -> None:
        """With its new files, now and at each boot."""

    def stop(self) -> None:
        """It is no longer wanted."""


class Service(Daemon):
    """The files of a service."""

    unit: str
    #: Unix sockets on which it must answer.
    sockets: Sequence[Endpoint] = ()

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where it must answer."""
        return [*(Endpoint((LOOPBACK, port.number), port.greeting) for port in self.ports), *self.sockets]

    def is_running(self) -> bool:
        return is_active(self.unit)

    def is_ready(self) -> bool:
        return super().is_ready() and is_enabled(self.unit)

    def restart(self, changed: list[str]) -> None:
        if changed and set(changed) <= self.rereads and self.is_ready():
            self.reread(changed)
        else:
            super().restart(changed)

    def reread(self, changed: list[str]) -> None:
        """Takes over these files while it runs; raises Failure unless they are in force then."""
        raise NotImplementedError

    def start(self) -> None:
        run("systemctl", "enable", "--quiet", self.unit)
        self.restart_service()

    def restart_service(self) -> None:
        restart_unit(self.unit)
        self.wait()

    def take_certificate(self) -> None:
        """Serves what lies in the files now."""
        self.restart_service()

    def wait(self) -> None:
        """Until the service answers; raises Failure with its own words where it ends instead."""
        if not self.endpoints:
            self.check_running()
        for endpoint in self.endpoints:

            def ready(endpoint: Endpoint = endpoint) -> bool:
                self.check_running()
                return answers(endpoint.address, endpoint.greeting)

            try:
                wait_for(f"{self.unit} answers on {endpoint.address}", ready, 90)
            except Failure as failure:
                raise Failure(f"{failure}\n{journal(self.unit)}") from failure

    def check_running(self) -> None:
        if not is_active(self.unit):
            raise Failure(f"{self.unit} ended:\n{journal(self.unit)}")

    def stop(self) -> None:
        stop_units(self.unit)


def stop_units(*units: str) -> None:
    run("systemctl", "disable", "--now", "--quiet", *units)
    # One that had failed would be reported from now on, though nobody wants it. It exits with 1 for a unit that is not loaded.
    succeeds("systemctl", "reset-failed", *units)


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
