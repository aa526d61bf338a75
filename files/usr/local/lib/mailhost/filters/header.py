"""
Reads who a message says that it is from.

Readers differ: some take the first thing that looks like an address, some decode before they look for one, some know
neither comments nor quotes. So all that any of them could take for an address counts.
"""

import base64
import binascii
import itertools
import quopri
import re
import unicodedata
from collections.abc import Iterable

from protocol import Refused, unfolded

ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
#: What RFC 5322 calls an addr-spec, without its obsolete forms, quoted local parts and address literals.
ADDRESS = re.compile(rf"{ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*", re.ASCII | re.IGNORECASE)

#: A name that a message may have (RFC 5322, 2.2).
NAME = re.compile(rb"[!-9;-~]+")

PART = re.compile(
    r"""
      (?P<space>[ \t\n]+)
    | "(?P<quoted>(?:\\.|[^"\\])*)"
    | \((?P<comment>(?:[^()"\\<>]|"[^()"\\<>]*"|\((?:[^()"\\<>]|"[^()"\\<>]*")*\))*)\)
    | <(?P<angle>[^<>"]*)>
    | (?P<comma>,)
    | (?P<word>[^ \t\n"()<>,:;\\]+)
    """,
    re.VERBOSE,
)
ENCODED_WORD = re.compile(r"=\?([^?\s]*)\?([bq])\?([^?]*)\?=", re.IGNORECASE)
BEGIN_OF_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)
BETWEEN_ENCODED_WORDS = re.compile(r"(\?=)\s+(=\?[^?\s]*\?[bq]\?)", re.IGNORECASE)
#: Characters of one. RFC 2047 has 75.
LONGEST_ENCODED_WORD = 1000
#: Octets of a field with addresses that is judged: to judge takes time, and meanwhile nothing else is judged.
LONGEST_FIELD = 10_000

#: Parts of a domain with blanks between them that are joined.
MOST_PIECES = 50

#: What ends a word that could be an address.
SPECIALS = re.compile(r"""[\s<>()\[\],;:"\\]""")
DOMAIN = re.compile(r" ?([\w-]+(?: ?\. ?[\w-]+)+)")
#: Lower-case name and unfolded value.
Field = tuple[str, bytes]
#: A part of a mailbox: its name in PART, and its text.
Part = tuple[str, str]

#: Line ends and NUL, which end a name for some, and characters that turn the direction of what follows around.
TRICKS = re.compile(r"[\0\r\u202d\u202e]|\n(?![ \t])")


def fields(lines: list[bytes]) -> list[Field]:
    """Raises Refused for a name that not all readers know."""
    pairs = unfolded(lines)
    for name, _ in pairs:
        if not NAME.fullmatch(name):
            text = name.decode("latin-1")[:60]
            raise Refused(
                f'550 5.6.0 the header has a field "{text}", which is no name of one (letters, digits, hyphens)'
            )
    return [(name.decode(), value) for name, value in pairs]


def addresses(pairs: Iterable[Field], name: str) -> set[str]:
    """
    All that could be taken for an address in the fields of that name, in lower case.

    Raises Refused for a field that is no list of addresses to every reader.
    """
    found = set()
    for value in (value for given, value in pairs if given == name.lower()):
        check_length(name, value)
        try:
            found |= plain_addresses(text_of(value))
        except ValueError as reason:
            raise Refused(f"550 5.6.0 {name} has {reason}: write it as in Anna Example <anna@example.org>") from reason
    return found


def authors(pairs: list[Field]) -> set[str]:
    """What could be taken for an address in the one From that a message has."""
    if [name for name, _ in pairs].count("from") != 1:
        raise Refused("550 5.6.0 the message must have one From")
    return addresses(pairs, "From")


def check_length(name: str, value: bytes) -> None:
    if len(value) > LONGEST_FIELD:
        raise Refused(f"550 5.6.0 {name} has more than {LONGEST_FIELD} octets")


def plain_addresses(text: str) -> set[str]:
    """Those of mailboxes, each `address`, or a name and `<address>`, and those in their names and comments."""
    if re.search(r"[\0-\x08\x0b-\x1f\x7f]", text):
        raise ValueError("control characters")
    if re.search(r"\n[ \t]*(?:\n|\Z)", text):
        raise ValueError("an empty line")
    found: set[str] = set()
    mailbox: list[Part] = []
    position = 0
    while position < len(text):
        part = PART.match(text, position)
        if part is None or part.lastgroup is None:
            raise ValueError(f'"{text[position : position + 20]}", which can be read in two ways')
        position = part.end()
        if part.lastgroup == "comma":
            found |= addresses_of_mailbox(mailbox)
            mailbox = []
        else:
            mailbox.append((part.lastgroup, part[part.lastgroup]))
    return found | addresses_of_mailbox(mailbox)


def addresses_of_mailbox(parts: list[Part]) -> set[str]:
    kinds = [kind for kind, _ in parts if kind not in ("space", "comment")]
    if not kinds:
        raise ValueError("no address where there has to be one")
    if any(kind == "word" and text.startswith("@") for kind, text in parts) and "angle" not in kinds:
        raise ValueError("an address in quotes, or with a blank before the @")
    if kinds != ["word"] and (kinds.count("angle") != 1 or kinds[-1] != "angle"):
        raise ValueError("a name without an address, or more than one (a comma in a name takes quotes)")
    address = next(text for kind, text in parts if kind == kinds[-1]).strip(" \t\n")
    if "@" not in address:
        raise ValueError(f'"{address[:60]}", a name without an address (a comma in a name takes quotes)')
    if not ADDRESS.fullmatch(address):
        local, _, domain = address.rpartition("@")
        plain = f"{local}@{ascii_domain(domain)}"
        if ADDRESS.fullmatch(plain):
            raise ValueError(f'"{address[:60]}" instead of {plain}')
        raise ValueError(f'"{address[:60]}", which is no address')
    found = {address.lower()}
    if kinds != ["word"]:
        found |= mentioned("".join(as_word(*part) for part in parts), apart=True)
    for kind, text in parts:
        if kind in ("quoted", "comment"):
            found |= mentioned(re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL))
    return found


def as_word(kind: str, text: str) -> str:
    """A part of a name, as it is for a reader who knows neither quotes nor comments. Blanks in quotes part nothing."""
    return {"word": text, "space": " ", "quoted": re.sub(r"\s", ",", text)}.get(kind, "")


def mentioned(text: str, apart: bool = False) -> set[str]:
    """The addresses in a name, as it stands and decoded; with `apart` those with blanks around the at sign, too."""
    if BEGIN_OF_ENCODED_WORD.search(ENCODED_WORD.sub("", text)):
        raise ValueError("an encoded word without an end")
    found = set()
    for view in (text, decoded(text)):
        if TRICKS.search(view):
            raise ValueError("control characters in a name")
        pieces = " ".join(shown_as(view).split()).split("@")
        for before, after in itertools.pairwise(pieces):
            # A quoted local part counts as its last word.
            local = SPECIALS.split((before.rstrip(" ") if apart else before).rstrip('"'))[-1].strip("'`")
            domain = DOMAIN.match(after)
            if local and domain and (apart or not after.startswith(" ")):
                found.add(f"{local}@{domain[1].replace(' ', '')}".lower())
    return found


def shown_as(text: str) -> str:
    """Other forms of a letter or a sign become the plain one, and what has no width is left out."""
    normal = unicodedata.normalize("NFKC", text).replace("\u3002", ".")
    return "".join(character for character in normal if unicodedata.category(character) != "Cf")


def text_of(value: bytes) -> str:
    """Names in other character sets than UTF-8 are common; only the ASCII in them matters."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def decoded(text: str) -> str:
    """With the encoded words of RFC 2047 decoded, also where they should not stand."""
    return ENCODED_WORD.sub(decoded_word, BETWEEN_ENCODED_WORDS.sub(r"\1\2", text))


def decoded_word(word: re.Match[str]) -> str:
    charset, encoding, content = word.groups()
    if len(content) > LONGEST_ENCODED_WORD:
        raise ValueError("an encoded word that is too long")
    octets = content.encode()
    if encoding in "qQ":
        octets = quopri.decodestring(octets.replace(b"_", b" "))
    else:
        try:
            octets = base64.b64decode(re.sub(rb"[^A-Za-z0-9+/]", b"", octets) + b"==")
        except binascii.Error:
            octets = b""
    try:
        # A language may follow (RFC 2231, 5).
        return octets.decode(charset.partition("*")[0], "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def domains(value: bytes) -> set[str]:
    """The domains of all that could be taken for an address in a From, but for what is quoted."""
    check_length("From", value)
    text = text_of(value)
    found = set()
    try:
        views = (text, decoded(text))
    except ValueError as reason:
        raise Refused(f"550 5.6.0 From has {reason}") from reason
    for unquoted in (unquoted for view in views for unquoted in without_quotes(view)):
        for form in (unquoted, without(unquoted, "(", ")")):
            for match in re.finditer(r"@\s*([\w-]+(?:\s*\.\s*[\w-]+)*)", shown_as(form)):
                # Some stop at a blank, and some at the first letter that they do not know.
                pieces = match[1].split()
                for end in range(1, min(len(pieces), MOST_PIECES) + 1):
                    domain = "".join(pieces[:end])
                    found |= ascii_domains(domain) | ascii_domains(re.split("[^0-9A-Za-z.-]", domain, maxsplit=1)[0])
    return found - {""}


def check_complete(value: bytes) -> None:
    """Raises Refused for a From with a name without an address: OpenSMTPD completes it with the host name."""
    for unquoted in without_quotes(text_of(value)):
        mailboxes = without(unquoted, "(", ")")
        if re.search("[:;]", without(mailboxes, "<", ">")):
            raise Refused("550 5.6.0 From has a group, or a colon or semicolon outside quotes")
        if not all("@" in mailbox for mailbox in mailboxes.split(",")):
            raise Refused("550 5.6.0 From has a name without an address (a comma in a name takes quotes)")


def without_quotes(text: str) -> tuple[str, str]:
    """Some know that a backslash takes the next quote away, and some do not."""
    return without(text, '"', '"', "\\"), without(text, '"', '"')


def without(text: str, opening: str, closing: str, escape: str = "") -> str:
    """What lies outside of all pairs of these signs; one without its counterpart takes nothing away."""
    kept, depth, escaped, start = [], 0, False, 0
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif depth and character == escape:
            escaped = True
        elif depth and character == closing:
            depth -= 1
            continue
        elif character == opening:
            start = start if depth else position
            depth += 1
        if not depth:
            kept.append(character)
    return "".join(kept) + (text[start:] if depth else "")


def ascii_domain(domain: str) -> str:
    """The A-labels of a domain, of any form, as readers of today have them (UTS #46)."""
    labels = shown_as(domain).lower().strip("-_.").split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


def ascii_domains(domain: str) -> set[str]:
    """As older readers have them, too: to these a sharp s is two of another."""
    plain = domain.lower().strip("-_.")
    try:
        older = plain.encode("idna").decode().lower() if len(plain) < 256 else plain
    except UnicodeError:
        older = plain
    return {ascii_domain(domain), older}
