"""Certificates with their keys: whether a pair can be served, and until when."""

import dataclasses
import datetime
import functools
import itertools
import json
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailhost.documents import parsed, plain
from mailhost.failure import Failure
from mailhost.files import File, Files, put_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

FOLDER = "/etc/ssl/mailhost"
CHAIN = f"{FOLDER}/fullchain.pem"
KEY = f"{FOLDER}/privkey.pem"
#: The stack's own pair, where another is served as long as there is one.
OWN_CHAIN = f"{FOLDER}/own/fullchain.pem"
OWN_KEY = f"{FOLDER}/own/privkey.pem"

#: What the CA has issued, each with its key in one file, so that they are replaced together. On the volume: it outlives
#: the server.
STORE = pathlib.Path("/srv/mailhost/acme/certificates")
#: What it has issued and is not served yet.
FRESH = pathlib.Path("/srv/mailhost/acme/fresh")

DAY = 86400
#: Seconds before its end at which a certificate that lives long is warned of.
WARNING = 21 * DAY


@dataclasses.dataclass(frozen=True)
class Pair:
    """A certificate with those of its issuers, and its private key: PEM."""

    chain: str
    key: str = dataclasses.field(repr=False)
    #: The directory of the CA that has issued it, where it was asked by ACME.
    directory: str | None = None


def paths_of_domain(domain: str) -> tuple[str, str]:
    return f"{FOLDER}/{domain}/fullchain.pem", f"{FOLDER}/{domain}/privkey.pem"


def path_in(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / f"{name}.json"


def pair_in(folder: pathlib.Path, name: str) -> Pair | None:
    """None where there is none, or a damaged one. One that has ended counts: it tells more than none."""
    path = path_in(folder, name)
    if not path.exists():
        return None
    try:
        pair = parsed(Pair, path.read_text(), str(path))
        check_pair(pair.chain, pair.key, [])
    except (Failure, ValueError):
        return None
    return pair


def issued(name: str, fresh: bool = False) -> Pair | None:
    """What the CA has issued for a certificate by its name."""
    return (pair_in(FRESH, name) if fresh else None) or pair_in(STORE, name)


def own_pair() -> Pair:
    """The pair that the stack has made, and in its absence the one that is served."""
    paths = (OWN_CHAIN, OWN_KEY)
    if not os.path.exists(OWN_CHAIN):
        paths = (CHAIN, KEY)
    return Pair(*(pathlib.Path(path).read_text() for path in paths))


def pair_files(paths: tuple[str, str], pair: Pair) -> Files:
    return {
        path: File(mode, "root:root", text)
        for path, mode, text in zip(paths, ("0644", "0600"), (pair.chain, pair.key), strict=True)
    }


def store(name: str, pair: Pair) -> None:
    put_private(path_in(FRESH, name), json.dumps(pair, default=plain))


def keep(name: str) -> None:
    """It is served."""
    STORE.mkdir(mode=0o700, exist_ok=True)
    path_in(FRESH, name).rename(path_in(STORE, name))


def drop_all_but(names: Iterable[str]) -> None:
    """No private key stays of what is asked for no more."""
    for folder in (STORE, FRESH):
        for path in folder.glob("*"):
            if path not in [path_in(folder, name) for name in names]:
                path.unlink()


@functools.cache
def loaded(chain: str) -> "list[x509.Certificate]":
    # Installed with the daemons, after this program.
    from cryptography import x509

    return x509.load_pem_x509_certificates(chain.encode())


def check_pair(chain: str, key: str, names: Iterable[str]) -> None:
    """Raises Failure where clients that connect to one of the names would never take the pair, whoever they trust."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    try:
        certificates = loaded(chain)
        private = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, IndexError) as error:
        raise Failure(f"the certificate or its key is damaged: {error}") from error
    leaf = certificates[0]
    if public_part(private.public_key()) != public_part(leaf.public_key()):
        raise Failure("the private key does not belong to the certificate")
    for certificate, issuer in itertools.pairwise(certificates):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise Failure(f"the chain is out of order at {issuer.subject.rfc4514_string()}") from error
    if len(certificates) == 1 and leaf.issuer != leaf.subject:
        raise Failure(f"the chain lacks the issuer, {leaf.issuer.rfc4514_string()}")
    missing = sorted(set(names) - names_of(chain))
    if missing:
        raise Failure(f"the certificate is not for {', '.join(missing)}")


def check_dates(chain: str) -> None:
    """Raises Failure where clients would not take it now."""
    now = datetime.datetime.now(datetime.UTC)
    for certificate in loaded(chain):
        if certificate.not_valid_before_utc > now:
            raise Failure(
                f"the certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, "
                f"and here it is {now:%Y-%m-%d %H:%M}: is the clock of this machine right?"
            )
        if certificate.not_valid_after_utc < now:
            raise Failure(f"the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def public_part(key: "PublicKeyTypes") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def names_of(chain: str) -> set[str]:
    from cryptography import x509

    extensions = loaded(chain)[0].extensions
    try:
        alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(alternative.get_values_for_type(x509.DNSName))


def end_of(chain: str) -> datetime.datetime:
    return loaded(chain)[0].not_valid_after_utc


def seconds_left(chain: str) -> float:
    return (end_of(chain) - datetime.datetime.now(datetime.UTC)).total_seconds()


def lifetime(chain: str) -> float:
    leaf = loaded(chain)[0]
    return (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds()


def is_due(chain: str) -> bool:
    """In the last third of its life, when a CA expects to be asked for the next one."""
    return seconds_left(chain) < lifetime(chain) / 3


def ends_soon(chain: str) -> bool:
    """Less than 21 days are left, or where that is much of its life, most of the time to renew it is gone."""
    return seconds_left(chain) < min(WARNING, lifetime(chain) * 7 / 30)
