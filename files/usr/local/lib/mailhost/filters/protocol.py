"""OpenSMTPD's side of a filter, see smtpd-filters(7)."""

import os
import re
import sys
import traceback

#: What is asked of a filter: the events that it is told of, and the steps at which it may refuse.
REPORTS = ("link-auth", "link-disconnect", "tx-rcpt")
STEPS = ("mail-from", "data", "data-line", "commit")


class Refused(Exception):
    """Its text is the answer to the client, e.g. `550 5.7.1 no`."""


class Message:
    """What a client has said of one message so far. Addresses and the login are in lower case."""

    def __init__(self, login: str, sender: str):
        self.login = login
        self.sender = sender
        self.recipients = []
        #: The lines of the header, as they are stored.
        self.header = []
        self.size = 0
        self.in_header = True

    def add(self, line: bytes) -> None:
        self.size += len(line) + 1
        if self.in_header:
            # A dot at the beginning is doubled on the way, and OpenSMTPD drops one that is not, too.
            text = line[1:] if line.startswith(b".") else line
            if text:
                self.header.append(text)
            else:
                self.in_header = False


class Filter:
    """Takes every message of at most `max_size` octets; each step may be overridden to raise Refused."""

    def __init__(self, max_size: int):
        self.max_size = max_size
        self.logins = {}
        self.messages = {}

    def check_sender(self, message: Message) -> None:
        pass

    def check_recipients(self, message: Message) -> None:
        pass

    def check_header(self, message: Message) -> None:
        pass

    def run(self) -> None:
        """Until OpenSMTPD ends."""
        pending = b""
        while chunk := os.read(0, 1 << 16):
            *lines, pending = (pending + chunk).split(b"\n")
            answers = [answer for line in lines for answer in self.handle(line)]
            sys.stdout.buffer.write(b"".join(answer + b"\n" for answer in answers))
            sys.stdout.buffer.flush()

    def handle(self, line: bytes):
        kind, _, rest = line.partition(b"|")
        if kind == b"filter":
            _, _, _, step, session, token, value = rest.split(b"|", 6)
            if step == b"data-line":
                if value != b".":
                    self.messages[session].add(value)
                yield b"filter-dataline|%s|%s|%s" % (session, token, value)
            else:
                yield b"filter-result|%s|%s|%s" % (session, token, self.decide(step, session, value))
        elif kind == b"report":
            _, _, _, event, session, *values = rest.split(b"|", 7)
            self.report(event, session, values)
        elif line == b"config|ready":
            yield from (b"register|report|smtp-in|%s" % event.encode() for event in REPORTS)
            yield from (b"register|filter|smtp-in|%s" % step.encode() for step in STEPS)
            yield b"register|ready"

    def report(self, event: bytes, session: bytes, values: list) -> None:
        if event == b"link-auth" and values[0] == b"pass":
            self.logins[session] = text_of(b"|".join(values[1:]))
        elif event == b"tx-rcpt" and values[1] == b"ok":
            self.messages[session].recipients.append(text_of(values[2]))
        elif event == b"link-disconnect":
            self.logins.pop(session, None)
            self.messages.pop(session, None)

    def decide(self, step: bytes, session: bytes, value: bytes) -> bytes:
        try:
            if step == b"mail-from":
                self.messages[session] = Message(self.logins.get(session, ""), text_of(value))
                self.check_sender(self.messages[session])
            elif step == b"data":
                self.check_recipients(self.messages[session])
            elif step == b"commit":
                if self.messages[session].size > self.max_size:
                    raise Refused(f"552 5.3.4 the message is too big: {self.max_size} octets at most")
                self.check_header(self.messages[session])
        except Refused as refused:
            return b"reject|" + printable(str(refused))
        except Exception:
            # OpenSMTPD would end with its filter. The client tries again later.
            traceback.print_exc()
            return b"reject|451 4.3.0 the message cannot be judged now, try again later"
        return b"proceed"


def text_of(value: bytes) -> str:
    return value.decode("utf-8", "replace").lower()


def printable(text: str) -> bytes:
    """One line of an SMTP answer: what a client has sent may be part of it."""
    return re.sub(r"[^ -~]", "?", text)[:480].encode()
