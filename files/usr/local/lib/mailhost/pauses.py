"""
Pauses of OpenSMTPD: those of an operator, which survive a restart, and those of the host program, which end.

smtpd keeps what `smtpctl pause` sets in memory alone. So its unit has `keep` run before each stop, and `restore` after
each start; in between the options of `smtpd -P` let nothing out (smtpd(8), smtpctl(8)). For a crash, `mailhost failures`
notes it every ten minutes.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator

from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.files import put_private
from mailhost.specs import SPECS
from mailhost.system import is_active, run, succeeds, wait_for
from mailhost.transaction import STATE

UNIT = str(SPECS["opensmtpd"].unit)
QUEUE = pathlib.Path("/var/spool/smtpd/queue")
#: The subsystems that the host program itself has paused, a line each. A command that is killed leaves it.
MARK = pathlib.Path("/run/mailhost-paused")
#: What an operator had paused when OpenSMTPD was stopped last, until it is paused again.
KEPT = STATE / "smtpd-pauses.json"
#: The same as options of smtpd, for its unit.
OPTIONS = STATE / "smtpd-pauses.env"

#: Seconds that OpenSMTPD has to finish what it hands to another daemon before that is restarted. An ordinary message takes one.
DRAIN = 5
#: Counters of `smtpctl show stats`: messages whose transfer has begun, by subsystem.
TRANSFERS = {"mda": "mda.running", "mta": "mta.task.running"}

WHAT = {"mda": "delivery to mailboxes", "mta": "relaying (also to amavis)", "smtp": "reception of mail"}


@dataclasses.dataclass(frozen=True)
class Kept:
    #: Of mda, mta and smtp.
    subsystems: tuple[str, ...]
    #: Ids of the suspended messages.
    envelopes: tuple[str, ...]
    #: Source address and destination domain of each `smtpctl pause mta from … for …`.
    blocks: tuple[tuple[str, str], ...]


def paused() -> set[str]:
    """Of mda, mta and smtp. Raises Failure if OpenSMTPD does not run."""
    lines = (line.lower().split() for line in run("smtpctl", "show", "status").splitlines())
    return {subsystem for subsystem, state in lines if state == "paused"}


def own() -> set[str]:
    return set(MARK.read_text().split()) if MARK.exists() else set()


def by_operator() -> set[str]:
    """Empty if OpenSMTPD does not run."""
    with contextlib.suppress(Failure):
        return paused() - own()
    return set()


def hold(subsystem: str) -> None:
    """Pauses it, unless it is paused already. `release` resumes it."""
    with contextlib.suppress(Failure):
        if subsystem in paused():
            return
    before = own()
    put_private(MARK, "\n".join([*before, subsystem]))
    # It fails if an operator was faster.
    if not succeeds("smtpctl", "pause", subsystem):
        put_private(MARK, "\n".join(before))


def release() -> None:
    """
    Resumes what `hold` paused, also if the command that called it was killed. Does nothing otherwise: at any other time it
    would try each message at once that others have put off.

    Each command fails if OpenSMTPD was restarted meanwhile.
    """
    if not MARK.exists():
        return
    if "mta" in own():
        # What smtpd has for a route that failed, it puts off for minutes, some seconds after the failure (mta_on_source in
        # its mta.c). Only from then on can it be scheduled, and only then does what is new get another route.
        with contextlib.suppress(Failure):
            wait_for("OpenSMTPD puts off what it has for amavis", lambda: not has_failed_route(), 15)
    for subsystem in sorted(own(), reverse=True):
        succeeds("smtpctl", "resume", subsystem)
    if "mta" in own():
        # A route to amavis that met a closed port stays disabled for a while, and puts off what comes by it.
        with contextlib.suppress(Failure):
            for route in re.findall(
                r"^(\d+)\. .* 127\.0\.0\.\d+ .*[N-]D[Q-][K-] ", run("smtpctl", "show", "routes"), re.M
            ):
                succeeds("smtpctl", "resume", "route", route)
        schedule()
    MARK.unlink()


def relaying_paused() -> contextlib.AbstractContextManager[None]:
    """
    Lets OpenSMTPD end what it is giving to amavis, and keeps it from giving more.

    A message under way would be sent twice, where amavis had passed it on and could not say so. What takes longer than
    that is being scanned; it is cut, and gets a shorter scan when it comes again.
    """
    scanners = " or ".join(f"dport = :{port.number}" for port in SPECS["amavis"].ports)
    sessions = ("ss", "--tcp", "--no-header", "state", "established", f"( {scanners} )")
    return drained("mta", "OpenSMTPD ends its sessions with amavis", lambda: not run(*sessions).strip())


def delivery_paused() -> contextlib.AbstractContextManager[None]:
    """
    Lets OpenSMTPD finish what it delivers to mailboxes, and start no other delivery.

    A message under way would be delivered twice if Dovecot had stored it and could not confirm that.
    """
    return drained("mda", "OpenSMTPD finishes its deliveries to Dovecot", lambda: not transfers("mda"))


@contextlib.contextmanager
def drained(subsystem: str, what: str, is_drained: Callable[[], bool]) -> Iterator[None]:
    """Pauses the subsystem, and gives what it has begun the time DRAIN. Does nothing if OpenSMTPD does not run."""
    if not is_active(UNIT):
        yield
        return
    hold(subsystem)
    try:
        with contextlib.suppress(Failure):
            wait_for(what, is_drained, DRAIN)
        yield
    finally:
        release()


def transfers(*subsystems: str) -> int:
    """Messages that mda and mta are transferring: if they are cut off, the other side may have them, and gets them again."""
    counters = dict(line.split("=", 1) for line in run("smtpctl", "show", "stats").splitlines() if "=" in line)
    return sum(int(counters.get(TRANSFERS[subsystem], 0)) for subsystem in subsystems)


def is_reception_paused() -> bool:
    """Whether an operator has OpenSMTPD take no mail."""
    return "smtp" in by_operator()


def has_failed_route() -> bool:
    """Whether messages wait for a route to a daemon of this host that met a closed port."""
    return re.search(r"^ +connector 127\.0\.0\.\d+ .*ERROR_ROUTE", run("smtpctl", "show", "relays"), re.M) is not None


def schedule() -> None:
    """Tries all messages now. `schedule all` would send the suspended ones, too."""
    envelopes = queue()
    if not any(is_suspended(envelope) for envelope in envelopes):
        succeeds("smtpctl", "schedule", "all")
        return
    for envelope in envelopes:
        if not is_suspended(envelope):
            succeeds("smtpctl", "schedule", id_of(envelope))


def queue() -> list[str]:
    with contextlib.suppress(Failure):
        return run("smtpctl", "show", "queue").splitlines()
    return []


def id_of(envelope: str) -> str:
    return envelope.partition("|")[0]


def is_suspended(envelope: str) -> bool:
    return "suspend" in envelope.split("|", 4)[3].split(",")


def blocks() -> list[tuple[str, str]]:
    """(source address, destination domain) of each `smtpctl pause mta from … for …`."""
    with contextlib.suppress(Failure):
        return re.findall(r"^(\S+) -> (\S+)$", run("smtpctl", "show", "mta", "paused"), re.MULTILINE)
    return []


def keep() -> None:
    """What is paused now. Before OpenSMTPD stops."""
    subsystems = sorted(paused() - own())
    suspended = [id_of(envelope) for envelope in queue() if is_suspended(envelope)]
    kept = Kept(tuple(subsystems), tuple(suspended), tuple(blocks()))
    if not (kept.subsystems or kept.envelopes or kept.blocks):
        KEPT.unlink(missing_ok=True)
        OPTIONS.unlink(missing_ok=True)
        return
    # Until each envelope and route is paused again, nothing goes out.
    start = [*subsystems, *(["mda", "mta"] if kept.envelopes or kept.blocks else [])]
    put_private(KEPT, json.dumps(kept, default=plain))
    put_private(OPTIONS, f"PAUSES={' '.join(f'-P {subsystem}' for subsystem in sorted({*start}))}\n")


def note() -> None:
    """While OpenSMTPD runs, now and then: a crash has nobody to ask."""
    if is_active(UNIT):
        # It may end this moment.
        with contextlib.suppress(Failure):
            keep()


def restore() -> None:
    """After OpenSMTPD has started."""
    if not KEPT.exists():
        return
    kept = parsed(Kept, KEPT.read_text(), str(KEPT))
    wait_for("OpenSMTPD answers smtpctl", lambda: succeeds("smtpctl", "show", "status"), 30)
    for source, domain in kept.blocks:
        succeeds("smtpctl", "pause", "mta", "from", source, "for", domain)
    wanted = set(kept.envelopes)

    def suspended() -> bool:
        """It reads its queue in the background."""
        for envelope in queue():
            if id_of(envelope) in wanted and not is_suspended(envelope):
                succeeds("smtpctl", "pause", "envelope", id_of(envelope))
        found = {id_of(envelope) for envelope in queue() if is_suspended(envelope)}
        return all(one in found or not path_of(one).exists() for one in wanted)

    wait_for("OpenSMTPD suspends the messages that were suspended before", suspended, 30)
    for subsystem in paused() - set(kept.subsystems) - own():
        succeeds("smtpctl", "resume", subsystem)
    OPTIONS.unlink(missing_ok=True)
    KEPT.unlink()


def path_of(envelope: str) -> pathlib.Path:
    """The file of an envelope by its id, which begins with that of the message."""
    return QUEUE / envelope[:2] / envelope[:8] / envelope


def warnings() -> Iterator[str]:
    """Each pause that an operator has to end."""
    if not is_active(UNIT):
        return
    for subsystem in sorted(by_operator()):
        yield (
            f"{WHAT[subsystem]} is paused, and stays so until somebody runs: smtpctl resume {subsystem}. "
            "Meanwhile the check sends no probes"
        )
    suspended = sum(map(is_suspended, queue()))
    if suspended:
        yield f"messages are paused: {suspended}. To send them: smtpctl resume envelope all"
    for source, domain in blocks():
        yield f"relaying from {source} to {domain} is paused: smtpctl resume mta from {source} for {domain}"
