"""Certificates of a CA of the tests."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "mail.example.org"
DAYS = datetime.timedelta(days=1)


def subject(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def issued(key, names, start=0, end=90, name="leaf", by=None):
    """A certificate that is valid from so many days from now on to so many; by itself, or by (name, key)."""
    now = datetime.datetime.now(datetime.UTC)
    issuer, issuer_key = by or (name, key)
    made = (
        x509.CertificateBuilder(subject(issuer), subject(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now + start * DAYS)
        .not_valid_after(now + end * DAYS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key):
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *form).decode()


KEY, OTHER_KEY, CA_KEY = new_key(), new_key(), new_key()
CA = issued(CA_KEY, [], end=3650, name="ca")
BY_CA = "ca", CA_KEY


def chain_of(names, **validity):
    return issued(KEY, names, by=BY_CA, **validity) + CA
