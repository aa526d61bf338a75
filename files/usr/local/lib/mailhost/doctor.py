"""
What is wrong with this host, as findings with codes: `mailhost doctor` on the operator's machine asks for them over SSH.

It changes nothing but for probes, which it takes out of the probes' own mailbox.
"""

import configparser
import dataclasses
import pathlib
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

from mailhost import acme, backup, check, deferred, dkim, drift, failures, health, pauses
from mailhost.daemons import DAEMONS, wanted
from mailhost.failure import ERRORS, Failure
from mailhost.reports import findings
from mailhost.system import HOST_LOCK, holder, is_active, run

#: Seconds for a probe to arrive: on a host that is well it takes about two.
PATIENCE = 15
MEMORY = pathlib.Path("/proc/meminfo")
PRESSURE = pathlib.Path("/proc/pressure/memory")
#: Share of the memory that is available at least.
LEAST_MEMORY = 0.05
#: Percent of the last five minutes in which all tasks waited for memory.
MOST_PRESSURE = 10
#: Percent of a quota.
FULL = 95
#: Seconds for one message; more than half of at least so many messages of the last hour.
SLOW, ENOUGH = 10, 5
JAILS = pathlib.Path("/etc/fail2ban/jail.local")
ACCEPTED = pathlib.Path("/etc/mailhost/drift-accepted")
#: Places to which nothing gets through, from which on it is this host's connection.
MANY = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    #: Of those in components/hostDocuments.schema.json.
    code: str
    evidence: str


Look = Callable[[check.Mail], Iterable[str]]

#: Of the codes with one look each, in the order in which they are reported.
LOOKS: dict[str, Look] = {
    "service-stopped": lambda _: check.services(),
    "resolver-broken": lambda _: check.name_resolution(),
    "listener-wrong": lambda _: check.listeners(),
    "certificate-not-served": lambda mail: check.served_certificates(mail.host_name),
    "web-page": lambda mail: check.web_pages(mail.host_name),
    "dkim-unpublished": lambda mail: dkim.warnings((domain.name, domain.selector) for domain in mail.domains),
    "queue-damaged": lambda _: deferred.damaged(),
    "mail-paused": lambda _: pauses.warnings(),
    "unit-failed": lambda _: failures.current(),
    "disk-full": lambda _: health.disks(),
    "quota-full": lambda _: quotas(),
    "memory-low": lambda _: memory(),
    "scan-slow": lambda _: scans(),
    "updates-missing": lambda _: [*health.updates(), *health.packages(), *health.signatures()],
    "reboot-due": lambda _: check.reboot(),
    "timer-stuck": lambda _: [*health.units(), *health.timers()],
    "clock-wrong": lambda _: health.clock(),
    "backup-failed": lambda _: backup.warnings() if has_backup() else (),
    "backup-absent": lambda _: () if has_backup() else ["the setting backup is not set"],
    "renewal-failed": lambda _: acme.warnings(),
    "caa-account": lambda mail: check.missing_account(mail.host_name),
    "port-25-blocked": lambda _: outbound(),
    "list-refuses": lambda _: check.refusing_list(),
    "drift": lambda _: differences(),
    "bans-missing": lambda _: jails(),
    "dmarc-own-failed": lambda _: findings.own_failures(),
    "dmarc-unknown-sender": lambda _: findings.unknown_senders(),
    "tls-failed": lambda _: findings.tls_failures(),
}
#: Of looks that tell several apart.
OTHERS = (
    "mail-not-delivered", "spam-not-marked", "mail-not-signed", "queue-own", "queue-blocked", "queue-listed",
    "queue-throttled", "queue-waiting", "check-failed",
)  # fmt: skip
CODES = (*LOOKS, *OTHERS)


def examine(mail: check.Mail) -> list[Finding]:
    """Raises Failure while the host is being changed, when it is not as it is to be."""
    process = holder(HOST_LOCK)
    if process is not None:
        raise Failure(f"the host is being changed by process {process}: run this again after that")
    found: list[Finding] = []
    for code, look in LOOKS.items():
        found += attempt(code, lambda: named(code, look(mail)))  # noqa: B023  # called at once
    found += attempt("the queue", queue)
    # They would not arrive, and something else says why.
    if not found_any(found, "service-stopped", "listener-wrong") and not pauses.by_operator():
        found += attempt("the probes", lambda: probes(mail))
    return found


def attempt(what: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return [*look()]
    except ERRORS as error:
        return [Finding("check-failed", f"{what}: {error}")]


def named(code: str, words: Iterable[str]) -> Iterator[Finding]:
    for one in words:
        yield Finding(code, one)


def found_any(found: Iterable[Finding], *codes: str) -> bool:
    return any(finding.code in codes for finding in found)


def has_backup() -> bool:
    return DAEMONS["backup"] in wanted()


def probes(mail: check.Mail) -> Iterator[Finding]:
    try:
        spam = check.arrived(check.send_spam_probe(), PATIENCE)
    except Failure:
        yield Finding("mail-not-delivered", f"within {PATIENCE} s: {check.LOST}")
        return
    yield from named("spam-not-marked", check.unmarked(spam))
    yield from named("mail-not-signed", check.signing_probes(mail.domains, PATIENCE))


#: What the answer of a receiver means.
REASONS = (
    ("queue-throttled", r"4\.7\.28|4\.7\.650|rate.?limit|too (?:many|much|fast)|throttl|unusual rate|\bTSS?0[0-9]\b|deferred due to|slow down"),
    ("queue-listed", r"black ?list|block ?list|deny ?list|blocklisted|dnsbl|\brbl\b|spamhaus|is listed|reputation|\bS31[45]0\b"),
)  # fmt: skip
#: OpenSMTPD's own words where it gets no connection.
UNREACHED = re.compile(
    r"network error on destination|no (?:valid )?route|connection (?:timeout|timed out)|unreachable", re.I
)
#: No fault of either side; it lasts minutes.
GREYLISTING = re.compile(r"gr[ea]y-?list", re.I)


def queue() -> Iterator[Finding]:
    groups = deferred.groups()
    unreached = [group for group in groups if not group.is_own and UNREACHED.search(group.reason)]
    blocked = unreached if len({group.place for group in unreached}) >= MANY else []
    if blocked:
        places = sorted({group.place for group in blocked})
        yield Finding("queue-blocked", f"to {', '.join(places[:5])}{' …' if places[5:] else ''}: {blocked[0].reason}")
    for group in groups:
        if group not in blocked:
            code = code_of(group)
            if code:
                yield Finding(code, deferred.described(group))


def code_of(group: deferred.Group) -> str | None:
    if group.is_own:
        return "queue-own"
    if not GREYLISTING.search(group.reason):
        for code, pattern in REASONS:
            if re.search(pattern, group.reason, re.I):
                return code
    return "queue-waiting" if time.time() - group.since > deferred.LONG else None


def quotas() -> Iterator[str]:
    for line in run("doveadm", "-f", "tab", "quota", "get", "-A").splitlines()[1:]:
        user, _, kind, value, limit, percent = line.split("\t")
        if percent.isdigit() and int(percent) >= FULL:
            unit = " kB" if kind == "STORAGE" else " messages"
            yield f"{user}: {percent} % ({value} of {limit}{unit})"


def memory() -> Iterator[str]:
    sizes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in MEMORY.read_text().splitlines())
    }
    share = sizes["MemAvailable"] / sizes["MemTotal"]
    if share < LEAST_MEMORY:
        yield f"{share:.0%} of {sizes['MemTotal'] // 1024} MB are available: ps aux --sort -rss"
    # Not every kernel measures it.
    waited = re.search(r"^full .*avg300=([\d.]+)", PRESSURE.read_text(), re.MULTILINE) if PRESSURE.exists() else None
    if waited and float(waited[1]) > MOST_PRESSURE:
        yield f"all tasks waited for memory in {waited[1]} % of the last five minutes"


def scans() -> Iterator[str]:
    journal = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--unit=amavis", "--since=-1h", "--lines=500")
    times = [int(found[1]) / 1000 for line in run(*journal).splitlines() if (found := re.search(r", (\d+) ms$", line))]
    if len(times) >= ENOUGH and statistics.median(times) > SLOW:
        yield f"half of the {len(times)} messages of the last hour took more than {statistics.median(times):.0f} s"


def outbound() -> Iterator[str]:
    """Through a smarthost mail leaves by another port."""
    error = None if deferred.SMARTHOST.exists() else check.unconnected()
    if error:
        yield f"{check.OUTSIDE}: {error}"


def differences() -> list[str]:
    accepted = ACCEPTED.read_text().splitlines()
    return [one for one in drift.content() if one not in accepted]


def jails() -> Iterator[str]:
    """A service that does not run is another finding."""
    if not is_active("fail2ban"):
        return
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read(JAILS)
    planned = {name for name in settings.sections() if settings[name].get("enabled") == "true"}
    listed = re.search(r"Jail list:\s*(.*)", run("fail2ban-client", "status"))
    missing = planned - ({*re.split(r"[,\s]+", listed[1])} if listed else set())
    if missing:
        yield f"these jails do not run: {', '.join(sorted(missing))}"
