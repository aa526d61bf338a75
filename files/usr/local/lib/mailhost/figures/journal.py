"""
What the daemons write into the journal, as figures.

OpenSMTPD has a message twice: as it arrives, and as amavis gives it back. The answer to the first delivery, to amavis, has
the id of the second message, so that both are known as one. Forms of the lines: smtp_session.c, mta.c, mda.c and queue.c of
OpenSMTPD 7.6, `$log_templ` of amavis, and the filters of fail2ban in files/etc/fail2ban.
"""

import dataclasses
import ipaddress
import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator

from mailhost.failure import Failure
from mailhost.figures.store import DAY, Store
from mailhost.specs import PROBE

#: Of the own domains, a line each.
DOMAINS = pathlib.Path("/etc/smtpd/domains")
UNITS = ("opensmtpd", "amavis", "dovecot", "fail2ban")
#: Without a cursor, e.g. on a host that had mail before it had figures.
FIRST = "-7d"
#: Seconds after which what OpenSMTPD writes in an instant has come; a message of Sieve has no first delivery.
INSTANT = 60


@dataclasses.dataclass(frozen=True)
class Entry:
    time: float
    #: Its syslog identifier.
    program: str
    text: str
    cursor: str


def entries(cursor: str | None) -> Iterator[Entry]:
    """Those after the cursor; raises Failure if the journal cannot be read."""
    command = [
        "journalctl", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", "--quiet", "--no-pager",
        f"--after-cursor={cursor}" if cursor else f"--since={FIRST}", *(f"--unit={unit}" for unit in UNITS),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            fields = json.loads(line)
            text = fields.get("MESSAGE")
            # Of what is not UTF-8 the octets, and of what is very long nothing: neither is a line of ours.
            if isinstance(text, str):
                seconds = int(fields["__REALTIME_TIMESTAMP"]) / 1e6
                yield Entry(seconds, fields.get("SYSLOG_IDENTIFIER", ""), text, fields["__CURSOR"])
        words = process.stderr.read()
    if process.returncode:
        raise Failure(f"journalctl failed: {words.strip()}")


@dataclasses.dataclass(frozen=True)
class Final:
    """A delivery that ends a message's way here, or was tried for that."""

    time: float
    message: int
    domain: str
    #: `mailbox`, or what became of it elsewhere: `out`, `forwarded`, `bounced`, `deferred`.
    outcome: str


class Follower:
    """Reads entries in their order. What is open at the end of one run stays in the store for the next."""

    def __init__(self, store: Store, domains: Iterable[str], addresses: Iterable[str] = ()):
        self.store = store
        self.domains = {*domains} - {PROBE.domain}
        #: The host's own.
        self.addresses = {*addresses}
        #: Where the client of an open session is, and when it came: `outside`, `login` or `here`.
        self.sessions: dict[str, tuple[str, float]] = {
            name: (where, since) for name, (where, since) in json.loads(store.get("journal.sessions") or "{}").items()
        }
        self.waiting = [Final(*values) for values in json.loads(store.get("journal.waiting") or "[]")]
        self.cursor = store.get("journal.cursor")

    def read(self, found: Iterable[Entry]) -> None:
        for entry in found:
            self.take(entry)
            self.cursor = entry.cursor

    def end(self, now: float) -> None:
        """Counts what is known, and keeps the rest. To be called once, with the time of the run."""
        late = self.waiting
        self.waiting = []
        for final in late:
            self.conclude(final, patient=now - final.time < INSTANT)
        self.store.database.execute("DELETE FROM open_messages WHERE time < ?", (now - DAY,))
        sessions = {name: value for name, value in self.sessions.items() if now - value[1] < DAY}
        self.store.set("journal.sessions", json.dumps(sessions))
        self.store.set("journal.waiting", json.dumps([dataclasses.astuple(final) for final in self.waiting]))
        if self.cursor:
            self.store.set("journal.cursor", self.cursor)

    def take(self, entry: Entry) -> None:
        for pattern, use in LINES.get(entry.program, ()):
            match = pattern.match(entry.text)
            if match:
                use(self, entry.time, match)
                return

    def domain_of(self, address: str) -> str:
        """One of the host's, or nothing: a stranger's is not kept."""
        domain = address.rpartition("@")[2].lower()
        return domain if domain in self.domains else ""

    def connected(self, time: float, match: re.Match[str]) -> None:
        self.sessions[match["session"]] = ("here" if self.is_here(match["address"]) else "outside", time)

    def is_here(self, address: str) -> bool:
        """`local` is the socket of sendmail(8)."""
        try:
            return ipaddress.ip_address(address).is_loopback or address in self.addresses
        except ValueError:
            return address == "local"

    def disconnected(self, _time: float, match: re.Match[str]) -> None:
        self.sessions.pop(match["session"], None)

    def authenticated(self, time: float, match: re.Match[str]) -> None:
        if match["result"] == "ok":
            self.sessions[match["session"]] = ("login", time)
        self.store.count_login(time, "submission", "ok" if match["result"] == "ok" else "failed")

    def accepted(self, time: float, match: re.Match[str]) -> None:
        where = self.sessions.get(match["session"], ("here", time))[0]
        self.store.database.execute(
            "INSERT OR REPLACE INTO open_messages VALUES (?, ?, ?, 0, ?)",
            (int(match["message"], 16), time, where, where != "here"),
        )

    def refused(self, time: float, match: re.Match[str]) -> None:
        where, _ = self.sessions.get(match["session"], ("here", time))
        if where == "here":
            return
        outcome = "denied" if where == "login" else "refused" if match["code"] == "5" else "delayed"
        self.store.count_mail(time, self.domain_of(match["recipient"] or ""), outcome)

    def scanned(self, time: float, match: re.Match[str]) -> None:
        self.store.add_duration(time, "scan", int(match["milliseconds"]) / 1000)
        if match["fate"] == "Passed":
            if match["content"].split()[0] == "SPAM" and match["queued"]:
                self.store.database.execute(
                    "UPDATE open_messages SET is_junk = 1 WHERE id = ?", (int(match["queued"], 16),)
                )
            return
        for recipient in re.findall(r"<([^<>]*)>", match["recipients"]):
            if not recipient.endswith(f"@{PROBE.domain}"):
                self.store.count_mail(time, self.domain_of(recipient), "held")

    def delivered(self, time: float, match: re.Match[str]) -> None:
        if match["result"] == "Ok" and not match["to"].endswith(f"@{PROBE.domain}"):
            self.conclude(Final(time, message_of(match), self.domain_of(match["to"]), "mailbox"))

    def relayed(self, time: float, match: re.Match[str]) -> None:
        if not self.is_here(match["relay"].strip("[]")):
            self.left(time, match)
            return
        # To amavis, or round by a listener of its own.
        again = AGAIN.search(match["stat"])
        origin = self.found(message_of(match))
        if match["result"] == "Ok" and again and origin:
            since, where, _, _ = origin
            self.store.database.execute(
                "UPDATE open_messages SET time = ?, source = ?, is_linked = 1 WHERE id = ?",
                (since, where, int(again[1], 16)),
            )

    def left(self, time: float, match: re.Match[str]) -> None:
        sender = match["from"]
        outcome = {"Ok": "out", "TempFail": "deferred"}.get(match["result"], "bounced")
        if outcome == "out" and SRS.match(sender):
            outcome = "forwarded"
        self.conclude(Final(time, message_of(match), self.domain_of(sender), outcome))

    def expired(self, time: float, match: re.Match[str]) -> None:
        self.conclude(Final(time, message_of(match), self.domain_of(match["from"]), "bounced"))

    def conclude(self, final: Final, patient: bool = True) -> None:
        message = self.found(final.message)
        if message and not message[3] and patient:
            self.waiting.append(final)
            return
        since, where, is_junk, _ = message or (None, "outside" if final.outcome == "mailbox" else "login", 0, 1)
        outcome = final.outcome
        if outcome == "mailbox":
            outcome = "internal" if where != "outside" else "junk" if is_junk else "in"
        self.store.count_mail(final.time, final.domain, outcome)
        if since is not None and outcome in ("in", "junk", "out", "forwarded"):
            direction = "in" if outcome in ("in", "junk") else "out"
            self.store.add_duration(final.time, direction, max(0, final.time - since))

    def found(self, message: int) -> tuple[float, str, int, int] | None:
        """When and from where it came, whether it is junk, and whether that is known."""
        row: tuple[float, str, int, int] | None = self.store.database.execute(
            "SELECT time, source, is_junk, is_linked FROM open_messages WHERE id = ?", (message,)
        ).fetchone()
        return row

    def logged_in(self, time: float, _match: re.Match[str]) -> None:
        self.store.count_login(time, "imap", "ok")

    def wrong_password(self, time: float, _match: re.Match[str]) -> None:
        self.store.count_login(time, "imap", "failed")

    def banned(self, time: float, match: re.Match[str]) -> None:
        # One jail bans nobody: it keeps who has logged in.
        if match["jail"] != "mailhost-logins":
            self.store.count_login(time, "ssh" if match["jail"] == "sshd" else "mail", "banned")


def message_of(match: re.Match[str]) -> int:
    """An envelope's id begins with that of its message."""
    return int(match["envelope"][:8], 16)


AGAIN = re.compile(r".* ([0-9a-f]{8}) Message accepted for delivery")
SRS = re.compile(r"srs[01]=", re.I)

Use = Callable[[Follower, float, re.Match[str]], None]


def lines(*forms: tuple[str, Use]) -> tuple[tuple[re.Pattern[str], Use], ...]:
    return tuple((re.compile(pattern), use) for pattern, use in forms)


SESSION = r"(?P<session>[0-9a-f]{16})"
ENVELOPE = r"(?P<envelope>[0-9a-f]{16})"
#: By program; the first that fits is used.
LINES: dict[str, tuple[tuple[re.Pattern[str], Use], ...]] = {
    "smtpd": lines(
        (rf"{SESSION} smtp connected address=(?P<address>\S+) ", Follower.connected),
        (rf"{SESSION} smtp disconnected ", Follower.disconnected),
        (rf"{SESSION} smtp authentication user=\S* result=(?P<result>ok|permfail)$", Follower.authenticated),
        (rf"{SESSION} smtp message msgid=(?P<message>[0-9a-f]{{8}}) ", Follower.accepted),
        (
            rf'{SESSION} smtp failed-command command="(?i:RCPT TO: *<(?P<recipient>[^>]*)>|MAIL FROM|DATA|\.).*'
            r' result="(?P<code>[45])',
            Follower.refused,
        ),
        (
            rf"{SESSION} mda delivery evpid={ENVELOPE} from=<.*> to=<(?P<to>[^<>]*)> rcpt=<[^<>]*> user=\S+ "
            r"delay=\S+ result=(?P<result>\w+) stat=",
            Follower.delivered,
        ),
        (
            rf"{SESSION} mta delivery evpid={ENVELOPE} from=<(?P<from>[^<>]*)> to=<[^<>]*> rcpt=<[^<>]*> "
            r'source="[^"]*" relay="(?P<relay>\S*)[^"]*" delay=\S+ result="(?P<result>\w+)" stat="(?P<stat>.*)"$',
            Follower.relayed,
        ),
        (rf"(?:relay|delivery): Expire for {ENVELOPE}: from=<(?P<from>[^<>]*)>, ", Follower.expired),
    ),
    "amavis": lines(
        (
            r"\([\w-]+\) (?P<fate>Passed|Blocked) (?P<content>[A-Z-]+[^{]*) \{[^}]*\},.* <[^<>]*> -> "
            r"(?P<recipients><[^<>]*>(?:,<[^<>]*>)*), (?:.*, queued_as: .*?\b(?P<queued>[0-9a-f]{8}) Message)?.*"
            r", (?P<milliseconds>\d+) ms$",
            Follower.scanned,
        ),
    ),
    "dovecot": lines(
        (r"(?:imap|managesieve)-login: Logged in: ", Follower.logged_in),
        (
            r"auth\(.*,sasl:[a-z0-9-]+\)<[^<>]*>: passwd-file: (?:[Pp]assword mismatch|unknown user)$"
            r"|auth-worker\(.*\)<\d+><[^<>]*>: request \[\d+\]: pam: pam_authenticate\(\) failed: [^:]*$",
            Follower.wrong_password,
        ),
    ),
    "fail2ban-server": lines((r"fail2ban\.actions +\[\d+\]: NOTICE +\[(?P<jail>[\w-]+)\] Ban ", Follower.banned)),
}  # fmt: skip


def own_domains() -> list[str]:
    return DOMAINS.read_text().split()
