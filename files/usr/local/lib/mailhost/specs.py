"""What the plan knows of the daemons, in specs.json: `make docs` makes that from components/daemons."""

import dataclasses
import pathlib

from mailhost.documents import parsed

#: What a server says first.
GREETINGS = {"SMTP": b"220 ", "ManageSieve": b'"IMPLEMENTATION"', "SSH": b"SSH-2.0-"}


@dataclasses.dataclass(frozen=True)
class Port:
    number: int
    #: What is spoken on it, e.g. `SMTP`.
    protocol: str
    #: Whether others can reach it.
    public: bool
    #: `TLS` from the first byte, or `STARTTLS`; None for neither.
    security: str | None = None

    @property
    def greeting(self) -> bytes:
        """Empty where the server waits for the client."""
        return b"" if self.security == "TLS" else GREETINGS.get(self.protocol, b"")


@dataclasses.dataclass(frozen=True)
class Spec:
    #: Further units than its own that run and start at boot.
    timers: tuple[str, ...]
    #: Files that it takes over while it runs.
    rereads: tuple[str, ...]
    ports: tuple[Port, ...]
    #: systemd's, if it is a service.
    unit: str | None = None


@dataclasses.dataclass(frozen=True)
class Mailbox:
    """Of the host itself."""

    user: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.user}@{self.domain}"


@dataclasses.dataclass(frozen=True)
class Specs:
    #: By the name of the push.
    daemons: dict[str, Spec]
    #: Where the check sends its messages to.
    probe: Mailbox
    #: Where reports on DMARC and TLS arrive.
    reports: Mailbox


PATH = pathlib.Path(__file__).with_name("specs.json")
_READ = parsed(Specs, PATH.read_text(), str(PATH))
SPECS, PROBE, REPORTS = _READ.daemons, _READ.probe, _READ.reports


def port(number: int) -> Port:
    """The public one with that number."""
    return next(port for spec in SPECS.values() for port in spec.ports if port.public and port.number == number)


#: Names of accounts that are the host's own, of either kind.
OWN_ACCOUNTS = frozenset(name for box in (PROBE, REPORTS) for name in (box.user, box.address))
