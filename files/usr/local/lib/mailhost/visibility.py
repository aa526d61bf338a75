"""Whether the name servers of a zone answer with a record: all of them, and those to which the zone is delegated."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from mailhost.failure import Failure
from mailhost.resolver import ADDRESS

if TYPE_CHECKING:
    import dns.name
    import dns.rdata
    from dns.rdtypes.ANY.CNAME import CNAME
    from dns.rdtypes.ANY.SOA import SOA
    from dns.rdtypes.nsbase import NSBase

#: Names that are asked for side by side: a zone that does not answer holds up no other.
WORKERS = 64
#: Seconds for one question.
TIMEOUT = 3
#: Aliases that lead from a name to its records at most: one of them may lead back.
ALIASES = 8


@dataclasses.dataclass(frozen=True)
class Query:
    #: A name in the zone whose name servers are asked.
    owner: str
    #: Of the records.
    name: str
    #: E.g. `TXT`.
    kind: str
    #: Whether the records that a name server answers with are as they must be.
    are_right: "Callable[[list[dns.rdata.Rdata]], bool]"


@dataclasses.dataclass(frozen=True)
class Look:
    #: What is wrong with the answers; None where all have the record.
    missing: str | None = None
    #: Whether the name servers say so themselves; else they could not be asked.
    certain: bool = True
    #: Seconds for which others may remember that the record was not there (RFC 2308, section 5).
    negative_ttl: int = 0


def look_at_all(queries: Iterable[Query]) -> list[Look]:
    """Gives a Look for each, in their order."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(look, queries))


def look(query: Query, aliases: int = ALIASES) -> Look:
    # Installed with the daemons, after this program.
    import dns.exception

    try:
        zone, addresses = name_servers(query.owner)
    except dns.exception.DNSException as error:
        return Look(f"the name servers of its zone cannot be found ({error})", certain=False)
    negative_ttl = 0
    for server, address in addresses:
        try:
            records = [record for record, _ in ask(address, query.name, query.kind)]
            soas = ask(address, zone, "SOA")
            # Others' name servers have what an alias leads to.
            targets = [] if records or not aliases else ask(address, query.name, "CNAME")
        except (dns.exception.DNSException, OSError) as error:
            return Look(f"name server {server} does not answer ({error})", certain=False)
        if not soas:
            return Look(f"name server {server} does not know the zone {zone}", certain=False)
        negative_ttl = max([negative_ttl, *(min(ttl, cast("SOA", soa).minimum) for soa, ttl in soas)])
        for alias, _ in targets:
            target = str(cast("CNAME", alias).target)
            elsewhere = look(dataclasses.replace(query, owner=target, name=target), aliases - 1)
            if elsewhere.missing is not None:
                return elsewhere
            negative_ttl = max(negative_ttl, elsewhere.negative_ttl)
        if not targets and not query.are_right(records):
            return Look(f"name server {server} answers {[str(record) for record in records] or 'nothing'} instead")
    return Look(negative_ttl=negative_ttl)


def common_answers(owner: str, name: str, kind: str) -> dict[str, int]:
    """
    The records, as text, that all name servers answer with, each with its TTL.

    Raises Failure where they cannot be asked.
    """
    import dns.exception

    try:
        _, addresses = name_servers(owner)
        answers = [{record.to_text(): ttl for record, ttl in ask(address, name, kind)} for _, address in addresses]
    except (dns.exception.DNSException, OSError) as error:
        raise Failure(f"the name servers of {owner} cannot be asked for {name} ({error})") from error
    return {text: ttl for text, ttl in answers[0].items() if all(text in answer for answer in answers)}


def name_servers(owner: str) -> "tuple[dns.name.Name, list[tuple[str, str]]]":
    """The zone of a name, and (name, address) of each server that it is delegated to."""
    import dns.exception
    import dns.resolver

    # The host's own, which follows the delegation from the root and validates; another's may know less or remember more.
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [ADDRESS]
    resolver.lifetime = 2 * TIMEOUT
    zone = dns.resolver.zone_for_name(owner, resolver=resolver)
    servers = [str(cast("NSBase", answer).target) for answer in resolver.resolve(zone, "NS")]
    # Some have an address of IPv6 alone, which not every host can ask.
    addresses = [(s, str(a)) for s in servers for a in resolver.resolve(s, "A", raise_on_no_answer=False)]
    if not addresses:
        raise dns.exception.DNSException(f"none of {', '.join(servers)} has an IPv4 address")  # type: ignore[no-untyped-call]
    return zone, addresses


def ask(address: str, name: "str | dns.name.Name", kind: str) -> "list[tuple[dns.rdata.Rdata, int]]":
    """The records with their TTL. Raises DNSException where the name server cannot say."""
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode
    import dns.rdatatype

    answer, _ = dns.query.udp_with_fallback(dns.message.make_query(name, kind), address, timeout=TIMEOUT)
    # Others, and a referral, say nothing of what there is.
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not answer.flags & dns.flags.AA:
        said = f"{dns.rcode.to_text(answer.rcode())}, {dns.flags.to_text(answer.flags)}"
        raise dns.exception.DNSException(said)  # type: ignore[no-untyped-call]
    wanted = dns.rdatatype.from_text(kind)
    return [(record, rrset.ttl) for rrset in answer.answer if rrset.rdtype == wanted for record in rrset]
