"""Asks the host itself whether mail works, and tells every reason why not."""

import dataclasses
import email.message
import email.policy
import email.utils
import http.client
import itertools
import os
import pathlib
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence

from mailhost import (
    acme,
    backup,
    certificates,
    deferred,
    dkim,
    failures,
    health,
    manifests,
    pauses,
    resolver,
    served,
    specs,
    tlsa,
)
from mailhost.daemons import DAEMONS, wanted
from mailhost.daemons.web import domains
from mailhost.failure import ERRORS, Failure
from mailhost.imports import lately
from mailhost.prepare import is_standby
from mailhost.system import host_name, is_active, is_enabled, run, succeeds, wait_for

PROBE = specs.PROBE.address
#: SpamAssassin's own test line (GTUBE), in two parts so that this file is none.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
LOST = "a message from outside does not come through amavis to the mailbox: smtpctl show queue"
#: Seconds for a probe to arrive.
PATIENCE = 120
#: A mail exchanger that is always there, to learn whether outbound port 25 is open.
OUTSIDE = "gmail-smtp-in.l.google.com"
#: The entry for tests of a list that refuses many (RFC 5782, section 5).
LIST_ENTRY = "2.0.0.127.zen.spamhaus.org"


@dataclasses.dataclass(frozen=True)
class Domain:
    name: str
    #: Of the DKIM key that it is to sign with.
    selector: str


@dataclasses.dataclass(frozen=True)
class Mail:
    """What is to work."""

    host_name: str = dataclasses.field(metadata={"key": "hostName"})
    domains: tuple[Domain, ...]


def check(mail: Mail) -> None:
    paused = pauses.by_operator()
    reasons = [
        *own_name(mail.host_name), *services(), *name_resolution(), *listeners(),
        *served_certificates(mail.host_name), *web_pages(mail.host_name),
    ]  # fmt: skip
    # They would not arrive.
    if not reasons and not paused:
        spam = send_spam_probe()
        signing = [*signing_probes(mail.domains)]
        reasons = [*spam_reasons(spam), *signing]
    if not reasons:
        probes = "" if paused else ", spam probe and signatures"
        print(f"services, resolver, listeners, certificates, web pages{probes} are as they should be")
        tlsa.note()
    for part in (pauses, failures, deferred, health, lately):
        try:
            warn(part.warnings())
        except ERRORS as error:
            print(f"WARNING: the check of {part.__name__} failed: {error}")
    for line in deferred.ordinary():
        print(line)
    if reasons:
        raise Failure("the mail host does not work as it should:\n" + "\n".join(f"- {reason}" for reason in reasons))
    # What it depends on there, such as records and backups, is of the server that serves.
    if not is_standby():
        warn(outside(mail))


def warn(warnings: Iterable[str]) -> None:
    """What a person should know, and what stops no `up`."""
    for warning in warnings:
        print(f"WARNING: {warning}")


def outside(mail: Mail) -> Iterator[str]:
    """Warnings of what lies with others in part."""
    yield from dkim.warnings((domain.name, domain.selector) for domain in mail.domains)
    yield from missing_account(mail.host_name)
    # Else mail leaves by another port, and host.
    if not deferred.SMARTHOST.exists():
        yield from blocked_port()
    yield from refusing_list()
    yield from (
        backup.warnings()
        if DAEMONS["backup"] in wanted()
        else ["mail is not backed up: the setting backup says where to"]
    )
    yield from reboot()
    yield from acme.warnings()


def own_name(given: str) -> Iterator[str]:
    """Of another host everything could be right but what is asked of this one."""
    if given != host_name():
        yield f"this host is {host_name()}, and {given} was to be checked"


def services() -> Iterator[str]:
    units = [unit for daemon in wanted() for unit in (daemon.unit, *daemon.timers) if unit is not None]
    for unit in [*units, "metadata-guard"]:
        if not is_active(unit):
            yield f"service {unit} does not run: journalctl --unit {unit}"
        if not is_enabled(unit):
            yield f"service {unit} would not start at boot"


def name_resolution() -> Iterator[str]:
    if resolver.name_servers("/etc/resolv.conf")[:1] != [resolver.ADDRESS]:
        yield f"/etc/resolv.conf does not name the host's own resolver, {resolver.ADDRESS}, first"
    if not resolver.validates():
        yield "the host's own resolver does not validate the root of DNS: journalctl --unit unbound"


def public_ports() -> set[int]:
    return {port for daemon in wanted() for port in daemon.public_ports}


def open_ports() -> set[int]:
    """Ports on which something listens to others."""
    found = set()
    for line in run("ss", "--listening", "--tcp", "--numeric", "--no-header").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        if not address.strip("[]").split("%")[0].startswith(("127.", "::1")):
            found.add(int(port))
    return found


def listeners() -> Iterator[str]:
    found = open_ports()
    for port in sorted(public_ports() - found):
        yield f"nothing listens on port {port}"
    for port in sorted(found - public_ports()):
        yield f"something listens on port {port}, which should be closed: ss --listening --tcp --processes"


def served_certificates(host_name: str) -> Iterator[str]:
    ports = {port for daemon in wanted() for port in daemon.answering_ports()}
    wanted_ones = [(port, host_name, certificates.CHAIN) for port in sorted(ports)]
    for domain in domains(manifests.owned("web")):
        wanted_ones.append((443, f"mta-sts.{domain}", certificates.paths_of_domain(domain)[0]))
    for port, name, path in wanted_ones:
        wrong = served.differs(port, name, pathlib.Path(path).read_text())
        if wrong:
            yield wrong


def web_pages(host_name: str) -> Iterator[str]:
    if DAEMONS["web"] not in wanted():
        return
    context = ssl._create_unverified_context()
    pages = (
        "/mail/config-v1.1.xml",
        "/autodiscover/autodiscover.xml",
        "/apple.mobileconfig",
        "/.well-known/mta-sts.txt",
    )
    for path in pages:
        connection = http.client.HTTPSConnection("127.0.0.1", context=context, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": host_name})
            status = connection.getresponse().status
            if status != 200:
                yield f"https://{host_name}{path} answers {status}: journalctl --unit nginx"
        except (OSError, http.client.HTTPException) as error:
            yield f"https://{host_name}{path} does not answer: {error}"
        finally:
            connection.close()


def send_spam_probe() -> str:
    """Gives its subject, by which it is known again."""
    subject = f"probe {uuid.uuid4()}"
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
        client.sendmail("", [PROBE], message(f"probe@{socket.getfqdn()}", subject, GTUBE))
    return subject


def spam_reasons(subject: str) -> Iterator[str]:
    try:
        probe = arrived(subject)
    except Failure:
        yield LOST
        return
    yield from unmarked(probe)


def unmarked(probe: email.message.Message) -> Iterator[str]:
    if not (probe["X-Spam-Flag"] or "").startswith("YES"):
        yield f"a spam probe came through unmarked (X-Spam-Status: {probe['X-Spam-Status']}): amavis passes everything as clean"


def send_outbound_probe(name: str) -> str:
    subject = f"probe {uuid.uuid4()}"
    sender = f"postmaster@{name}"
    run("/usr/sbin/sendmail", "-f", sender, PROBE, stdin=message(sender, subject, "signed?"))
    return subject


def signing_probes(domains: Sequence[Domain], patience: float = PATIENCE) -> Iterator[str]:
    # Enough for all workers of amavis to have one.
    for some in itertools.batched(domains, 8, strict=False):
        for domain, subject in [(domain, send_outbound_probe(domain.name)) for domain in some]:
            yield from signing_reasons(domain.name, domain.selector, subject, patience)


def signing_reasons(name: str, selector: str, subject: str, patience: float) -> Iterator[str]:
    try:
        probe = arrived(subject, patience)
    except Failure:
        yield f"{name}: an outbound message does not come through amavis: smtpctl show queue"
        return
    if name in dkim.unsigned_domains():
        return
    signatures = ["".join(value.split()) for value in probe.get_all("DKIM-Signature", [])]
    if not any(f"d={name};" in value and f"s={selector};" in value for value in signatures):
        yield f"{name}: an outbound message is not signed with selector {selector} (signatures: {signatures or 'none'})"
    elif not dkim.has_announced_key(name, selector):
        yield f"{name}: amavis signs with another key than that of {selector}._domainkey.{name}: set drift to mend, and run `pulumi up`"


def message(sender: str, subject: str, text: str) -> str:
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["From"] = sender
    made["To"] = PROBE
    made["Subject"] = subject
    made["Date"] = email.utils.localtime()
    made["Message-ID"] = email.utils.make_msgid(domain=specs.PROBE.domain)
    made.set_content(text)
    return made.as_string()


def arrived(subject: str, patience: float = PATIENCE) -> email.message.Message:
    """Waits for the probe, and takes it out of the probes' own mailbox."""

    nudged = time.monotonic()

    def found() -> email.message.Message | None:
        nonlocal nudged
        # A daemon that restarted by itself a moment ago has had a message held back for minutes.
        if time.monotonic() - nudged > 5:
            schedule_probes()
            nudged = time.monotonic()
        for mailbox in (
            f"/srv/mailhost/mail/{specs.PROBE.domain}/{specs.PROBE.user}",
            f"/srv/mailhost/home/{specs.PROBE.user}",
        ):
            for folder, _, files in os.walk(f"{mailbox}/mail"):
                if os.path.basename(folder) not in ("new", "cur"):
                    continue
                for name in files:
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        probe = email.message_from_binary_file(file)
                    if probe["Subject"] == subject:
                        os.unlink(path)
                        return probe
        return None

    return wait_for(f"the probe {subject!r}", found, patience)


def schedule_probes() -> None:
    """These alone: when others' messages are tried again is theirs to say."""
    for envelope in run("smtpctl", "show", "queue").splitlines():
        if f"|{PROBE}|" in envelope:
            succeeds("smtpctl", "schedule", envelope.partition("|")[0])


def missing_account(host_name: str) -> Iterator[str]:
    """Where the CA did not answer when the record was planned."""
    records = resolver.fresh_records(host_name, "CAA") if acme.settings() else []
    if records and not any("accounturi=" in record for record in records):
        yield (
            f"the CAA record of {host_name} does not name the account at the CA, so whoever else can answer for that "
            "name there gets certificates too: docs/certificates.md says how to make it again"
        )


def blocked_port() -> Iterator[str]:
    try:
        error = unconnected()
    except socket.gaierror:
        yield f"whether outbound port 25 is open is not known: {OUTSIDE} has no address here"
        return
    if error:
        yield (
            f"outbound port 25 seems to be blocked ({error}). Mail to other hosts stays in the queue until "
            "the provider opens it: at Hetzner, ask for it under Limits in the Cloud Console"
        )


def unconnected() -> OSError | None:
    """Why no connection to another mail system succeeds. Raises gaierror if that has no address here."""
    try:
        socket.create_connection((OUTSIDE, 25), timeout=10).close()
    except socket.gaierror:
        raise
    except OSError as error:
        return error
    return None


def refusing_list() -> Iterator[str]:
    answers = resolver.records(LIST_ENTRY)
    if "127.0.0.2" not in answers:
        yield (
            f"the DNS list of {LIST_ENTRY} refuses this host: it answers {answers or 'nothing'}, not 127.0.0.2. "
            "Without it less spam is found"
        )


def reboot() -> Iterator[str]:
    packages = pathlib.Path("/run/reboot-required.pkgs")
    if packages.exists():
        yield f"updates ({', '.join(packages.read_text().split())}) are in force after a reboot alone: reboot the host"
