"""The host's own resolver, and /etc/resolv.conf, which names it."""

import os
from typing import TYPE_CHECKING

from mailhost.files import File, live, put
from mailhost.system import succeeds

if TYPE_CHECKING:
    import dns.message

ADDRESS = "127.0.0.1"
#: What systemd-resolved was told by the network, where the other file names only itself.
SOURCES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
#: The C library reads no more.
MOST = 3


def name_servers(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    with open(path) as file:
        words = [line.split() for line in file]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def ask_own_resolver() -> None:
    """The servers that the machine came with stay behind it, so that names resolve while it restarts."""
    others = next(filter(None, (elsewhere(path) for path in SOURCES)), [])
    lines = [f"nameserver {server}\n" for server in [ADDRESS, *others][:MOST]]
    # Takes the place of a link, which its manager would write to.
    file = File("0644", "root:root", "".join(lines))
    if live(SOURCES[0]) != file:
        put(SOURCES[0], file)


def elsewhere(path: str) -> list[str]:
    return [server for server in name_servers(path) if not server.startswith("127.") and server != "::1"]


def validates() -> bool:
    """Whether the resolver vouches for what the root's name servers sign."""
    import dns.flags

    answer = ask(".", "SOA")
    return answer is not None and bool(answer.flags & dns.flags.AD)


def records(name: str, kind: str = "A") -> list[str]:
    import dns.rdatatype

    answer = ask(name, kind)
    # Aliases on the way stand in the answer, too.
    wanted = dns.rdatatype.from_text(kind)
    sets = [] if answer is None else [rrset for rrset in answer.answer if rrset.rdtype == wanted]
    return [str(record) for rrset in sets for record in rrset]


def fresh_records(name: str, *kinds: str) -> list[str]:
    """What was not there a moment ago may be there now."""
    # The first takes aliases along and knows the common types alone.
    succeeds("unbound-control", "flush", name)
    for kind in kinds:
        succeeds("unbound-control", "flush_type", name, kind)
    return [record for kind in kinds for record in records(name, kind)]


def ask(name: str, kind: str) -> "dns.message.Message | None":
    # Installed with the daemons, after this program.
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query

    query = dns.message.make_query(name, kind, flags=dns.flags.RD | dns.flags.AD)
    try:
        return dns.query.udp_with_fallback(query, ADDRESS, timeout=10)[0]
    except (dns.exception.DNSException, OSError):
        return None
