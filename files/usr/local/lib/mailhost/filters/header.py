"""Reads who a message says that it is from, where all readers must agree on that; what is in doubt is refused."""

import email.policy
import re

from protocol import Refused


def fields(lines: list) -> list:
    """Pairs of lower-case name and unfolded value; raises Refused for what is no header of RFC 5322."""
    pairs = []
    for line in lines:
        if b"\r" in line or b"\0" in line:
            raise Refused("550 5.6.0 the header has a line with control characters")
        if line[:1] in b" \t" and pairs:
            pairs[-1][1] += line
        elif re.match(rb"[!-9;-~]+:", line):
            name, _, value = line.partition(b":")
            pairs.append([name.decode().lower(), value])
        else:
            raise Refused("550 5.6.0 the header has a line that is no `Name: value`")
    return pairs


def addresses(pairs: list, name: str) -> list:
    """All addresses in the fields of that name, in lower case; raises Refused where they can be read in two ways."""
    found = []
    for value in (value for given, value in pairs if given == name.lower()):
        # Whoever parses is stricter than RFC 5322, which has comments and obsolete forms that others read otherwise.
        refused = Refused(f"550 5.6.0 {name} is not plainly addresses, as in: Anna Example <anna@example.org>")
        try:
            text = value.decode("ascii").strip()
            header = email.policy.default.header_factory(name, text)
        except Exception as error:
            raise refused from error
        given = [address.addr_spec.lower() for address in header.addresses]
        outside_quotes = re.sub(r'"(?:\\.|[^"\\])*"', "", text)
        if (
            not given
            or any(group.display_name is not None for group in header.groups)
            # Names such as `Anna Q. Example` are common without the quotes that they should have.
            or any(str(defect) != "period in 'phrase'" for defect in header.defects)
            or outside_quotes.count("@") != len(given)
            or not all(address in outside_quotes.lower() for address in given)
        ):
            raise refused
        found += given
    return found


def authors(pairs: list) -> list:
    """The addresses in the one From that a message has."""
    if [name for name, _ in pairs].count("from") != 1:
        raise Refused("550 5.6.0 the message must have one From")
    return addresses(pairs, "From")
