"""Refuses to sign with a key that verifiers cannot find yet."""

import json
import re
import time

from failure import Failure
from system import run

#: Seconds. A record that was just made needs a moment to reach all name servers of its zone.
PATIENCE = 300


def key_path(domain: str, selector: str) -> str:
    return f"/etc/amavis/dkim/{domain}.{selector}.pem"


def check_published(files: dict, owned: dict) -> None:
    """
    Waits until all name servers of the zone answer with the public part of each key that is new here.

    Raises Failure with what they answer instead.
    """
    signing = json.loads(files["/etc/mailhost/dkim.json"]["text"])
    for domain, selector in sorted(signing.items()):
        path = key_path(domain, selector)
        if path in owned:
            continue
        wanted = public_part(files[path]["text"])
        end = time.monotonic() + PATIENCE
        while (missing := not_answering(f"{selector}._domainkey.{domain}", wanted)) is not None:
            if time.monotonic() > end:
                raise Failure(
                    f"{selector}._domainkey.{domain}: {missing}; not signing with this key before it does. "
                    "Check that the record is there and that the domain is delegated to these name servers, and run `pulumi up` again"
                )
            time.sleep(1)


def public_part(private_pem: str) -> str:
    """The `p=` value: base64 of the public key's SubjectPublicKeyInfo (RFC 6376, section 3.6.1)."""
    pem = run("openssl", "pkey", "-pubout", stdin=private_pem)
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def not_answering(name: str, wanted: str) -> str | None:
    """What is wrong with the answers of the zone's own name servers, or None."""
    # Installed with the daemons, after this program.
    import dns.exception
    import dns.message
    import dns.query
    import dns.rdatatype
    import dns.resolver

    resolver = dns.resolver.Resolver()
    try:
        zone = dns.resolver.zone_for_name(name, resolver=resolver)
        servers = [str(answer.target) for answer in resolver.resolve(zone, "NS")]
        addresses = [(server, str(a)) for server in servers for a in resolver.resolve(server, "A")]
    except dns.exception.DNSException as error:
        return f"its zone's name servers cannot be found ({error})"
    for server, address in addresses:
        try:
            query = dns.message.make_query(name, "TXT")
            answer, _ = dns.query.udp_with_fallback(query, address, timeout=3)
        except (dns.exception.DNSException, OSError) as error:
            return f"name server {server} does not answer ({error})"
        texts = [
            b"".join(record.strings).decode("ascii", "replace")
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for record in rrset
        ]
        if not any(wanted == re.sub(r"\s", "", tag(text, "p")) for text in texts):
            return f"name server {server} answers {texts or 'nothing'}, not with this key"
    return None


def tag(text: str, name: str) -> str:
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value
    return ""
