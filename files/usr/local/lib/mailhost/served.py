"""What the ports of this host serve to those who connect with TLS."""

import smtplib
import socket
import ssl

from mailhost import specs
from mailhost.failure import Failure
from mailhost.system import wait_for


def certificate(port: int, name: str) -> bytes:
    """The certificate in DER that a client gets who asks for the name."""
    # Compared with the certificate itself, so its issuer does not matter.
    context = ssl._create_unverified_context()
    about = specs.port(port)
    if (about.protocol, about.security) == ("SMTP", "STARTTLS"):
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            client.starttls(context=context)
            return certificate_of(client.sock)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        if about.protocol == "ManageSieve":
            read_until(plain, b"OK ")
            plain.sendall(b"STARTTLS\r\n")
            read_until(plain, b"OK ")
        with context.wrap_socket(plain, server_hostname=name) as secured:
            return certificate_of(secured)


def certificate_of(connection: socket.socket | None) -> bytes:
    found = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    if found is None:
        raise OSError("the connection has no certificate")
    return found


def read_until(connection: socket.socket, start: bytes) -> None:
    """ManageSieve ends each answer with a line that begins with OK (RFC 5804, section 1.2)."""
    answer = b""
    while not any(line.startswith(start) for line in answer.split(b"\r\n")) or not answer.endswith(b"\r\n"):
        chunk = connection.recv(4096)
        if not chunk:
            raise OSError("the connection was closed")
        answer += chunk


def differs(port: int, name: str, chain: str) -> str | None:
    """What is wrong with what the port serves, where it is not the first certificate of the chain."""
    try:
        if certificate(port, name) != ssl.PEM_cert_to_DER_cert(first(chain)):
            return f"port {port} serves another certificate to who asks for {name}"
    except (OSError, smtplib.SMTPException) as error:
        return f"port {port} does not answer with TLS: {error}"
    return None


def wait_until_served(port: int, name: str, chain: str) -> None:
    """Raises Failure where the port does not serve the first certificate of the chain within a minute."""
    wrong = None

    def right() -> bool:
        nonlocal wrong
        wrong = differs(port, name, chain)
        return wrong is None

    try:
        wait_for("every port serves the new certificate", right, 60)
    except Failure as failure:
        raise Failure(f"{failure}; {wrong}") from failure


def first(chain: str) -> str:
    end = "-----END CERTIFICATE-----\n"
    return chain.split(end)[0] + end
