"""Tells which records are not in DNS as they should be, where a person publishes them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mailhost.visibility import Query, look_at_all

if TYPE_CHECKING:
    import dns.rdata


@dataclasses.dataclass(frozen=True)
class Record:
    name: str
    type: str
    #: As a zone file has it.
    data: str
    #: Whether it is somebody else's, and may say more.
    others: bool = False


def warn_of_records(records: Sequence[Record]) -> None:
    """Of each that not all name servers of its zone answer with."""
    # Installed with the daemons, after this program.
    import dns.rdata

    def is_among(record: Record) -> "Callable[[list[dns.rdata.Rdata]], bool]":
        wanted = content(dns.rdata.from_text("IN", record.type, record.data))
        if record.others:
            return lambda found: any(means(content(other), wanted) for other in found)
        return lambda found: wanted in map(content, found)

    looks = look_at_all([Query(record.name, record.name, record.type, is_among(record)) for record in records])
    for record, look in zip(records, looks, strict=True):
        if look.missing is not None:
            print(f"WARNING: publish {record.name}. {record.type} {record.data}: {look.missing}")


def means(found: "bytes | dns.rdata.Rdata", wanted: "bytes | dns.rdata.Rdata") -> bool:
    """Whether a record of somebody else's says what is wanted of it: texts of tags may say more (RFC 7489, section 6.3)."""
    if not isinstance(wanted, bytes) or not isinstance(found, bytes):
        return found == wanted
    first, *_ = tags(wanted).items()
    return tags(wanted).items() <= tags(found).items() and next(iter(tags(found).items())) == first


def tags(text: bytes) -> dict[bytes, bytes]:
    """The tags of a text such as `v=DMARC1; p=none;`, in order; space around them and letter case of names mean nothing."""
    pairs = [part.partition(b"=") for part in text.split(b";") if part.strip()]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def content(record: "dns.rdata.Rdata") -> "bytes | dns.rdata.Rdata":
    """Texts are the same however they are cut into strings."""
    return b"".join(record.strings) if hasattr(record, "strings") else record
