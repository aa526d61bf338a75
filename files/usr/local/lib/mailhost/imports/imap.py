"""A mailbox at another host, by IMAP."""

import contextlib
import dataclasses
import hashlib
import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence

from mailhost.failure import Failure
from mailhost.folders import from_utf7
from mailhost.imports import wire
from mailhost.imports.messages import NAMING, Entry, Folder, Listing, Message, uid_set

#: Seconds without a word of the server.
PATIENCE = 120
#: Where TLS begins after the greeting; on every other port it begins with the connection.
STARTTLS_PORT = 143
USES = {"\\all", "\\archive", "\\drafts", "\\flagged", "\\important", "\\junk", "\\sent", "\\trash"}
#: Messages that one request lists.
LISTED_AT_ONCE = 5000


class Refused(Failure):
    """Of the login or of the certificate: another attempt would end the same way."""


@dataclasses.dataclass(frozen=True)
class Login:
    """How to log in to the other host, and to whose mailbox there."""

    host: str
    port: int
    user: str
    secret: str = dataclasses.field(repr=False)
    #: password, or token of OAuth 2.0.
    kind: str
    #: The user that logs in for the mailbox's own (authorization identity of RFC 4616).
    master: str | None = None
    #: SHA-256 of the server's certificate, in place of a check by CAs and by its name.
    fingerprint: str | None = None

    @property
    def place(self) -> str:
        return f"{self.user} at {self.host}"


class PinnedContext:
    """What imaplib takes for a context of TLS: checks the certificate by its fingerprint alone."""

    def __init__(self, fingerprint: str) -> None:
        self.wanted = bare(fingerprint)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        wrapped = self.context.wrap_socket(sock, server_hostname=server_hostname)
        given = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
        if given != self.wanted:
            wrapped.close()
            raise Refused(f"the certificate of {server_hostname} has another fingerprint: {given}")
        return wrapped


def bare(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()


class ImapSource:
    """Reads alone: folders are opened by EXAMINE, and messages fetched by PEEK."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self.opened: str | None = None
        self.client = connected(login)
        try:
            self.log_in()
            _, capabilities = self.client.capability()
            self.capabilities = set((capabilities[0] or b"").decode().upper().split())
        except BaseException:
            self.close()
            raise
        self.labels = "X-GM-EXT-1" in self.capabilities

    def close(self) -> None:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self.client.shutdown()

    def log_in(self) -> None:
        login, client = self.login, self.client
        answer: Callable[[bytes], bytes]
        try:
            if login.kind == "token":
                # An error is told by a challenge, to which the answer is empty.
                words = iter([f"user={login.user}\1auth=Bearer {login.secret}\1\1".encode()])
                answer = lambda _challenge: next(words, b"")  # noqa: E731
                client.authenticate("XOAUTH2", answer)
            elif login.master or "AUTH=PLAIN" in client.capabilities:
                owner, name = (login.user, login.master) if login.master else ("", login.user)
                answer = lambda _challenge: f"{owner}\0{name}\0{login.secret}".encode()  # noqa: E731
                client.authenticate("PLAIN", answer)
            else:
                client.login(login.user, login.secret)
        except imaplib.IMAP4.abort as error:
            raise Failure(f"{login.host} ended the connection at the login: {words_of(error)}") from error
        except imaplib.IMAP4.error as error:
            reason = words_of(error)
            if re.search(r"UNAVAILABLE|LIMIT|INUSE|try again|too many", reason, re.IGNORECASE):
                raise Failure(f"{login.host} does not let {login.user} in now: {reason}") from error
            raise Refused(f"{login.host} refuses the login of {login.master or login.user}: {reason}") from error

    def folders(self) -> list[Folder]:
        prefixes = self.prefixes()
        found = []
        subscribed = None if "LIST-EXTENDED" in self.capabilities else self.subscribed()
        for flags, separator, name in self.listed():
            lower = {flag.lower() for flag in flags}
            if lower & {"\\noselect", "\\nonexistent"} or not self.is_own(name, prefixes):
                continue
            rest = name
            for prefix in prefixes[0]:
                if prefix and name != prefix and name.startswith(prefix):
                    rest = name.removeprefix(prefix)
            parts = rest.split(separator) if separator else [rest]
            use = next(iter(sorted(lower & USES)), None)
            is_subscribed = "\\subscribed" in lower if subscribed is None else name in subscribed
            found.append(Folder(name, tuple(map(from_utf7, parts)), use and use.title(), is_subscribed))
        return found

    def listed(self) -> Iterator[tuple[set[str], str | None, str]]:
        words = ("RETURN", "(SPECIAL-USE SUBSCRIBED)") if "LIST-EXTENDED" in self.capabilities else ()
        if words and "SPECIAL-USE" not in self.capabilities:
            words = ("RETURN", "(SUBSCRIBED)")
        status, data = self.client._simple_command("LIST", '""', '"*"', *words)
        status, data = self.client._untagged_response(status, data, "LIST")
        self.expect(status, data, "the list of folders")
        yield from filter(None, (wire.listed(part) for part in data if part))

    def subscribed(self) -> set[str]:
        status, data = self.client.lsub()
        parts = [wire.listed(part) for part in data if part] if status == "OK" else []
        return {part[2] for part in parts if part}

    def prefixes(self) -> tuple[list[str], list[str]]:
        """Of namespaces (RFC 2342): the user's own, and those of others."""
        if "NAMESPACE" not in self.capabilities:
            return [], []
        status, data = self.client.namespace()
        text = (data[0] or b"").decode("ascii", "replace") if status == "OK" else ""
        groups = re.findall(r"NIL|\((?:\(.*?\)\s*)+\)", text)
        names = [re.findall(r'\("((?:\\.|[^"\\])*)"', group) for group in groups]
        own = names[0] if names else []
        return own, [name for group in names[1:] for name in group if name]

    @staticmethod
    def is_own(name: str, prefixes: tuple[list[str], list[str]]) -> bool:
        return not any(name.startswith(other) for other in prefixes[1] if other not in prefixes[0])

    def listing(self, folder: Folder) -> Listing:
        count, validity = self.open(folder)
        found: dict[int, Entry] = {}
        fields = f"(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({' '.join(NAMING)})])"
        for first in range(1, count + 1, LISTED_AT_ONCE):
            status, data = self.client.fetch(f"{first}:{min(count, first + LISTED_AT_ONCE - 1)}", fields)
            self.expect(status, data, f"the messages of {folder.name}")
            found |= dict(filter(None, (wire.entry_in(*answer) for answer in wire.answers(data))))
        return Listing(validity, dict(sorted(found.items())))

    def messages(self, folder: Folder, uids: Sequence[int]) -> Iterator[tuple[int, Message]]:
        if self.opened != folder.name:
            self.open(folder)
        status, data = self.client.uid("FETCH", uid_set(uids), "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        self.expect(status, data, f"messages of {folder.name}")
        yield from filter(None, (wire.message_in(*answer) for answer in wire.answers(data)))

    def open(self, folder: Folder) -> tuple[int, int]:
        """Gives how many messages it has, and for how long their numbers are good."""
        status, data = self.client.select(wire.quoted(folder.name), readonly=True)
        self.expect(status, data, f"the folder {folder.name}")
        self.opened = folder.name
        _, validity = self.client.response("UIDVALIDITY")
        return int(data[0] or 0), int((validity[0] if validity else None) or 0)

    def expect(self, status: str, data: Sequence[object], what: str) -> None:
        if status != "OK":
            text = b" ".join(part for part in data if isinstance(part, bytes)).decode("utf-8", "replace")
            raise Failure(f"{self.login.host} does not give {what}: {text}")


def connected(login: Login) -> imaplib.IMAP4:
    context = PinnedContext(login.fingerprint) if login.fingerprint else ssl.create_default_context()
    try:
        if login.port != STARTTLS_PORT:
            return imaplib.IMAP4_SSL(login.host, login.port, ssl_context=context, timeout=PATIENCE)  # type: ignore[arg-type]
        client = imaplib.IMAP4(login.host, login.port, timeout=PATIENCE)
        try:
            client.starttls(context)
        except BaseException:
            client.shutdown()
            raise
        return client
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"the certificate of {login.host} is not valid: {error.verify_message}. If you know that it is that "
            f"server's, set fingerprint to {presented(login)}"
        ) from error
    except ssl.SSLError as error:
        raise Refused(f"{login.host} port {login.port} does not speak TLS as it should: {error.reason}") from error
    except imaplib.IMAP4.abort as error:
        raise Failure(f"{login.host} port {login.port} ended the connection: {words_of(error)}") from error
    except imaplib.IMAP4.error as error:
        raise Refused(f"{login.host} port {login.port} offers no TLS: {words_of(error)}") from error
    except OSError as error:
        raise Failure(f"{login.host} port {login.port} cannot be reached: {error}") from error


def presented(login: Login) -> str:
    """The fingerprint of the certificate that the server has now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        if login.port != STARTTLS_PORT:
            client: imaplib.IMAP4 = imaplib.IMAP4_SSL(login.host, login.port, ssl_context=context, timeout=PATIENCE)
        else:
            client = imaplib.IMAP4(login.host, login.port, timeout=PATIENCE)
            client.starttls(context)
        socket_ = client.socket()
        certificate = socket_.getpeercert(binary_form=True) if isinstance(socket_, ssl.SSLSocket) else None
        client.shutdown()
    except (OSError, imaplib.IMAP4.error):
        certificate = None
    return hashlib.sha256(certificate).hexdigest() if certificate else "that of its certificate"


def words_of(error: Exception) -> str:
    """imaplib raises errors with octets or text."""
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
