"""Finds the reports in a message, and who vouches for them."""

import dataclasses
import email
import email.message
import email.utils
import re
from collections.abc import Iterator, Set

from mailhost.reports import aggregate
from mailhost.reports import tls as tls_reports
from mailhost.reports.packing import GZIP, ZIP, unpacked
from mailhost.reports.refusal import Refused

#: Octets of a message. Base64 makes a third more of a report.
LARGEST = 16 << 20
MOST_PARTS = 50
#: Octets of a TLS report, which has a few KB.
LARGEST_TLS = 2 << 20
#: A signature that is valid, in the form that amavis has (generate_authentication_results() of 2.13), and nothing besides: a
#: signature may name a domain with spaces in it, which could look like another.
PASSED = re.compile(r'dkim=pass\s+header\.d=([a-z0-9_.-]+)(?:\s+header\.b="")?', re.IGNORECASE)
QUOTED, COMMENT = re.compile(r'"(?:\\.|[^"\\])*"'), re.compile(r"\([^()\"]*\)")


@dataclasses.dataclass(frozen=True)
class Result:
    """A report, and whose it is."""

    #: Domain of the sender of the message, which signed it: what a report itself says of its author proves nothing.
    reporter: str
    #: One of them.
    dmarc: aggregate.Report | None = None
    tls: tls_reports.Report | None = None


def read(data: bytes, *, host_name: str, domains: Set[str]) -> list[Result]:
    """
    Gives the reports of a message about these domains, in lower case.

    Raises Refused, also where one of several is bad.
    """
    if len(data) > LARGEST:
        raise Refused(f"the message is larger than {LARGEST >> 20} MB")
    message = email.message_from_bytes(data)
    reporter = sender(message, host_name)
    found = [read_report(part, reporter, domains) for part in attachments(message)]
    if not found:
        raise Refused("it has no report")
    return found


def sender(message: email.message.Message, host_name: str) -> str:
    """
    Domain of the header From, if a valid signature of it, or of a domain above or below it, is on the message.

    That is what amavis of this host found. It takes every header field out that comes with a message and bears the host's
    name, so what does is its own.
    """
    fields = message.get_all("From", [])
    addresses = email.utils.getaddresses([str(field) for field in fields])
    if len(fields) != 1 or len(addresses) != 1:
        raise Refused("it does not have one sender")
    domain = addresses[0][1].rpartition("@")[2].lower()
    if not aggregate.DOMAIN.fullmatch(domain):
        raise Refused("its sender is not an address")
    signers = set(valid_signers(message, host_name))
    if not any(is_below(domain, signer) or is_below(signer, domain) for signer in signers):
        raise Refused(
            f"no valid signature of {domain} is on it, but {'of ' + ', '.join(sorted(signers)) if signers else 'none'}"
        )
    return domain


def valid_signers(message: email.message.Message, host_name: str) -> Iterator[str]:
    for field in message.get_all("Authentication-Results", []):
        plain = COMMENT.sub("", QUOTED.sub('""', str(field)))
        service, *results = plain.split(";")
        if service.split()[:1] == [host_name]:
            for result in results:
                match = PASSED.fullmatch(result.strip())
                if match:
                    yield match[1].lower()


def is_below(name: str, domain: str) -> bool:
    """Whether the name is the domain or lies in it."""
    return f".{name}".endswith(f".{domain}")


def attachments(message: email.message.Message) -> Iterator[bytes]:
    """What may be a report, by its first octets: names and types are often wrong."""
    for number, part in enumerate(message.walk()):
        if number >= MOST_PARTS:
            raise Refused(f"it has more than {MOST_PARTS} parts")
        payload = None if part.is_multipart() else part.get_payload(decode=True)
        if isinstance(payload, bytes) and part.get_content_type() != "text/html":
            payload = payload.removeprefix(b"\xef\xbb\xbf").lstrip()
            if payload.startswith((GZIP, ZIP, b"<", b"{")):
                yield payload


def read_report(payload: bytes, reporter: str, domains: Set[str]) -> Result:
    report = unpacked(payload).removeprefix(b"\xef\xbb\xbf").lstrip()
    if report.startswith(b"{"):
        if len(report) > LARGEST_TLS:
            raise Refused(f"the TLS report is larger than {LARGEST_TLS >> 20} MB")
        about_tls = tls_reports.read(report)
        for policy in about_tls.policies:
            check_domain(policy.domain, domains)
        return Result(reporter, tls=about_tls)
    about_mail = aggregate.read(report)
    check_domain(about_mail.domain, domains)
    for row in about_mail.rows:
        check_domain(row.domain, domains)
    return Result(reporter, dmarc=about_mail)


def check_domain(name: str, domains: Set[str]) -> None:
    if not any(is_below(name, domain) for domain in domains):
        raise Refused(f"it is about {name}, which is not a domain of this host")
