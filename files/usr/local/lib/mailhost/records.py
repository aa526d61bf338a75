"""Tells which records are not in DNS as they should be, where a person publishes them."""

from visibility import look_at_all


def warn_of_records(records: list) -> None:
    """Of each of the records, [{name, type, data}], that not all name servers of its zone answer with."""
    # Installed with the daemons, after this program.
    import dns.rdata

    def is_among(record: dict):
        wanted = content(dns.rdata.from_text("IN", record["type"], record["data"]))
        return lambda found: wanted in map(content, found)

    looks = look_at_all([(record["name"], record["name"], record["type"], is_among(record)) for record in records])
    for record, look in zip(records, looks, strict=True):
        if look.missing is not None:
            print(f"WARNING: publish {record['name']}. {record['type']} {record['data']}: {look.missing}")


def content(record):
    """Texts are the same however they are cut into strings."""
    return b"".join(record.strings) if hasattr(record, "strings") else record
