"""Finds out whether a client has sent more before it had the answer to what it sent last (RFC 5321, 4.1.4; RFC 2920)."""

import ipaddress
import re
import sys

TABLES = {4: "/proc/self/net/tcp", 6: "/proc/self/net/tcp6"}
#: The client has closed its side: that counts as an octet.
CLOSE_WAIT = b"08"


def sent_ahead(port: int, client: str) -> bool:
    """
    Whether octets of the connection from a client, `ADDRESS:PORT`, to a port of this host wait to be read.

    See proc_net_tcp in the kernel's documentation. OpenSMTPD itself sees more than one line at once only where they come
    in one piece, and TLS keeps the pieces apart.
    """
    version, there = key_of(client)
    with open(TABLES[version], "rb") as table:
        content = table.read()
    found = re.search(rb":%04X %s (..) [^:]*:(\S+)" % (port, there), content)
    return found is not None and int(found[2], 16) > (found[1] == CLOSE_WAIT)


def key_of(end: str) -> tuple[int, bytes]:
    """As the kernel writes it: words of 32 bits in the machine's order."""
    text, _, port = end.rpartition(":")
    address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    packed = address.packed
    words = (int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed), 4))
    return address.version, b"%s:%04X" % ("".join(f"{word:08X}" for word in words).encode(), int(port))
