"""OpenSMTPD's side of a filter, see smtpd-filters(7)."""

import heapq
import os
import re
import select
import sys
import time
import traceback
from collections.abc import Iterator

#: What is asked of a filter: the events that it is told of, and the steps at which it may refuse.
REPORTS = ("link-connect", "link-auth", "link-disconnect", "tx-rcpt")
STEPS = ("mail-from", "rcpt-to", "data", "data-line", "commit")

#: Octets of a line of a message. OpenSMTPD reads a filter's answers into 65536, and spins at a longer line for ever.
LONGEST_LINE = 65_000
#: Octets of an address between its angle brackets (RFC 5321, 4.5.3.1.3). Of longer recipients there is no report.
LONGEST_PATH = 254
#: Octets of a header. It is kept in memory until the message ends.
LARGEST_HEADER = 1 << 20
#: Octets of a field that OpenSMTPD unfolds, and of a field's name: it has buffers of 65536, and of 1024 for two names.
LARGEST_FIELD, LONGEST_NAME = 65_000, 500
UNFOLDED = (b"to", b"cc", b"from")
#: Octets that OpenSMTPD may add to an address without a domain: `@` and the host name.
COMPLETION = 254


class Refused(Exception):
    """Its text is the answer to the client, e.g. `550 5.7.1 no`."""


class Disconnected(Refused):
    """The same, and the session ends."""


class Session:
    """A connection. The login is in lower case, and empty before it."""

    def __init__(self) -> None:
        self.login = ""
        #: What the login was let in by, where the filter knows it.
        self.credential: str | None = None
        #: The host's port, and the client's address and port, `ADDRESS:PORT`.
        self.connection: tuple[int, str] | None = None
        #: How many messages have ended, taken or not.
        self.ended = 0
        self.message: Message | None = None


class Message:
    """What a client has said of one message so far. Addresses and the login are in lower case."""

    def __init__(self, login: str, sender: str):
        self.login = login
        self.sender = sender
        #: By time.monotonic().
        self.begun = time.monotonic()
        self.recipients: list[str] = []
        #: The lines of the header, as they are stored.
        self.header: list[bytes] = []
        self.header_size = 0
        self.size = 0
        self.in_header = True
        #: Why the message cannot be taken, whatever it says: what OpenSMTPD would refuse without a reason among it.
        self.fault: str | None = None

    def add(self, line: bytes) -> None:
        self.size += len(line) + 1
        if b"\r" in line or len(line) > LONGEST_LINE:
            self.fault = self.fault or fault_of_line(line)
        if self.in_header:
            # A dot at the beginning is doubled on the way, and OpenSMTPD drops one that is not, too.
            self.add_to_header(line[1:] if line.startswith(b".") else line)

    def add_to_header(self, line: bytes) -> None:
        if not line:
            self.end_header()
            return
        self.header_size += len(line) + 1
        if self.header_size > LARGEST_HEADER:
            self.fault = self.fault or f"the header has more than {LARGEST_HEADER} octets"
            return
        self.fault = self.fault or fault_of_header_line(line)
        self.header.append(line)

    def end_header(self) -> None:
        """By an empty line, or with the message."""
        self.in_header = False
        self.fault = self.fault or fault_of_fields(self.header)


def message_of(session: Session) -> Message:
    if session.message is None:
        raise ValueError("the session has no message")
    return session.message


def fault_of_line(line: bytes) -> str:
    """Of one that is too long or has a carriage return, which ends a line to some readers, and none to others."""
    if len(line) > LONGEST_LINE:
        return f'the line "{excerpt(line)}" has more than {LONGEST_LINE} octets'
    if b"\r" in line.rstrip(b"\r"):
        return f'the line "{excerpt(line)}" has a carriage return (CR) within: only CR LF may end a line'
    return f'the line "{excerpt(line)}" ends in CR CR LF: only CR LF may end a line'


def fault_of_header_line(line: bytes) -> str | None:
    if line[:1] in b" \t":
        return None
    if b":" not in line:
        return f'the line "{excerpt(line)}" is no header field (Name: value): after the header comes an empty line'
    if line.index(b":") > LONGEST_NAME:
        return f'the header field "{excerpt(line)}" has a name of more than {LONGEST_NAME} octets'
    return None


def fault_of_fields(header: list[bytes]) -> str | None:
    for name, value in unfolded(header):
        if name not in UNFOLDED:
            continue
        parts = re.sub(rb'"[^"]*"', b"", value).split(b",")
        bare = sum(b"@" not in part and not part.isspace() for part in parts)
        if len(value) + COMPLETION * bare > LARGEST_FIELD:
            field = name.decode().capitalize()
            return f"{field} has more than {LARGEST_FIELD} octets: use Bcc, or send to fewer recipients at once"
    return None


def unfolded(header: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Pairs of what stands before the first colon of a field, in lower case, and all after it, lines joined as they are."""
    pairs: list[tuple[bytes, list[bytes]]] = []
    for line in header:
        if line[:1] in b" \t" and pairs:
            pairs[-1][1].append(line)
        else:
            name, _, value = line.partition(b":")
            pairs.append((name.lower(), [value]))
    return [(name, b"\n".join(lines)) for name, lines in pairs]


class Filter:
    """Takes every message of at most `max_size` octets; each step may be overridden to raise Refused."""

    def __init__(self, max_size: int):
        self.max_size = max_size
        self.host_name = "localhost"
        self.sessions: dict[bytes, Session] = {}
        #: Requests that are answered later: when, their order, and they themselves.
        self.waiting: list[tuple[float, int, bytes, bytes, bytes, bytes]] = []
        self.requests = 0

    def delay(self, step: str, session: Session) -> float:
        """Seconds until a step is judged."""
        return 0

    def check_sender(self, session: Session, message: Message) -> None:
        pass

    def check_recipient(self, recipient: str) -> None:
        pass

    def check_recipients(self, message: Message) -> None:
        pass

    def check_end(self, session: Session) -> None:
        pass

    def check_header(self, message: Message) -> None:
        pass

    def added_fields(self, message: Message) -> list[bytes]:
        """Lines that are put at the end of the header."""
        return []

    def run(self) -> None:
        """Until OpenSMTPD ends."""
        pending = b""
        while True:
            wait = max(0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            answers = []
            if select.select([0], [], [], wait)[0]:
                chunk = os.read(0, 1 << 16)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                answers = [answer for line in lines for answer in self.handle(line)]
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                answers += self.answer(*heapq.heappop(self.waiting)[2:])
            sys.stdout.buffer.write(b"".join(answer + b"\n" for answer in answers))
            sys.stdout.buffer.flush()

    def handle(self, line: bytes) -> Iterator[bytes]:
        kind, _, rest = line.partition(b"|")
        if kind == b"filter":
            _, _, _, step, session, token, value = rest.split(b"|", 6)
            if step == b"data-line":
                yield from self.data_line(session, token, value)
                return
            seconds = self.delay(step.decode(), self.sessions.setdefault(session, Session()))
            if seconds:
                self.requests += 1
                heapq.heappush(self.waiting, (time.monotonic() + seconds, self.requests, step, session, token, value))
            else:
                yield from self.answer(step, session, token, value)
        elif kind == b"report":
            try:
                _, _, _, event, session, *values = rest.split(b"|", 7)
                self.report(event, session, values)
            except Exception:
                # OpenSMTPD would end with its filter.
                traceback.print_exc()
        elif line.startswith(b"config|admd|"):
            self.host_name = text_of(line.split(b"|", 2)[2])
        elif line == b"config|ready":
            yield from (b"register|report|smtp-in|%s" % event.encode() for event in REPORTS)
            yield from (b"register|filter|smtp-in|%s" % step.encode() for step in STEPS)
            yield b"register|ready"

    def report(self, event: bytes, session: bytes, values: list[bytes]) -> None:
        if event == b"link-disconnect":
            self.sessions.pop(session, None)
            return
        known = self.sessions.setdefault(session, Session())
        if event == b"link-connect":
            # That of the host is the one that it listens on, not the one that the client found.
            client, host = b"|".join(values).decode("latin-1").split("|")[-2:]
            known.connection = int(host.rpartition(":")[2]), client
        elif event == b"link-auth" and values[0] == b"pass":
            known.login = text_of(b"|".join(values[1:]))
        elif event == b"tx-rcpt" and values[1] == b"ok":
            message_of(known).recipients.append(text_of(values[2]))

    def data_line(self, session: bytes, token: bytes, line: bytes) -> Iterator[bytes]:
        known = self.sessions.get(session)
        if known is None or known.message is None:
            return
        message = known.message
        if line != b".":
            was_in_header = message.in_header
            message.add(line)
        elif was_in_header := message.in_header:
            message.end_header()
        if was_in_header and not message.in_header:
            for field in self.added_fields(message):
                yield b"filter-dataline|%s|%s|%s" % (session, token, field)
        yield b"filter-dataline|%s|%s|%s" % (session, token, line[:LONGEST_LINE])

    def answer(self, step: bytes, session: bytes, token: bytes, value: bytes) -> list[bytes]:
        # One that waited may have gone.
        if session not in self.sessions:
            return []
        decision = self.decide(step, self.sessions[session], value)
        return [b"filter-result|%s|%s|%s" % (session, token, decision)]

    def decide(self, step: bytes, session: Session, value: bytes) -> bytes:
        try:
            if step == b"mail-from":
                session.message = Message(session.login, text_of(value))
                self.check_sender(session, session.message)
            elif step == b"rcpt-to":
                if len(value) > LONGEST_PATH:
                    raise Refused(f"501 5.1.3 the recipient's address has more than {LONGEST_PATH} octets")
                self.check_recipient(text_of(value))
            elif step == b"data":
                self.check_recipients(message_of(session))
            elif step == b"commit":
                session.ended += 1
                self.check_end(session)
                message = message_of(session)
                if message.size > self.max_size:
                    raise Refused(f"552 5.3.4 the message is too big: {self.max_size} octets at most")
                if message.fault:
                    raise Refused(f"550 5.6.0 {message.fault}")
                self.check_header(message)
        except Refused as refused:
            kind = b"disconnect|" if isinstance(refused, Disconnected) else b"reject|"
            return kind + printable(str(refused))
        except Exception:
            # OpenSMTPD would end with its filter. The client tries again later.
            traceback.print_exc()
            return b"reject|451 4.3.0 the message cannot be judged now, try again later"
        return b"proceed"


def text_of(value: bytes) -> str:
    return value.decode("utf-8", "replace").lower()


def excerpt(line: bytes) -> str:
    text = line.decode("latin-1").rstrip("\r")
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> bytes:
    """One line of an SMTP answer: what a client has sent may be part of it."""
    return re.sub(r"[^ -~]", "?", text)[:480].encode()
