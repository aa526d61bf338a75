"""Tells which records are not in DNS as they should be, where a person publishes them."""

from mailhost.visibility import look_at_all


def warn_of_records(records: list) -> None:
    """Of each of the records, [{name, type, data, others?}], that not all name servers of its zone answer with."""
    # Installed with the daemons, after this program.
    import dns.rdata

    def is_among(record: dict):
        wanted = content(dns.rdata.from_text("IN", record["type"], record["data"]))
        if record.get("others"):
            return lambda found: any(means(content(other), wanted) for other in found)
        return lambda found: wanted in map(content, found)

    looks = look_at_all([(record["name"], record["name"], record["type"], is_among(record)) for record in records])
    for record, look in zip(records, looks, strict=True):
        if look.missing is not None:
            print(f"WARNING: publish {record['name']}. {record['type']} {record['data']}: {look.missing}")


def means(found, wanted) -> bool:
    """Whether a record of somebody else's says what is wanted of it: texts of tags may say more (RFC 7489, section 6.3)."""
    if not isinstance(wanted, bytes) or not isinstance(found, bytes):
        return found == wanted
    first, *_ = tags(wanted).items()
    return tags(wanted).items() <= tags(found).items() and next(iter(tags(found).items())) == first


def tags(text: bytes) -> dict:
    """The tags of a text such as `v=DMARC1; p=none;`, in order; space around them means nothing."""
    pairs = [part.partition(b"=") for part in text.split(b";") if part.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def content(record):
    """Texts are the same however they are cut into strings."""
    return b"".join(record.strings) if hasattr(record, "strings") else record
