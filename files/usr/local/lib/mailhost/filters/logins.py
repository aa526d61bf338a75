"""The names that accounts log in with, see loginNames() of the package."""

import re
from collections.abc import Iterable


class Logins:
    """`users` are the accounts' own user names."""

    def __init__(self, users: Iterable[str], path: str = "/etc/smtpd/logins"):
        self.users = set(users)
        with open(path) as lines:
            self.names = dict(line.split() for line in lines)
        # System users' have no domain.
        self.whole = any("@" in user for user in self.users)

    def account(self, name: str) -> str:
        """The user name that a client means; what no account has is given in its plain form."""
        local, at, domain = name.strip().lower().partition("@")
        plain = local.partition("+")[0] + (at + domain if self.whole else "")
        return plain if plain in self.users else self.names.get(plain, plain)


def unvis(name: str) -> str:
    """A name as OpenSMTPD reports it, by vis(3): `\\M-C\\M-<` for octets that are no printable ASCII."""

    def octet(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([ord(match[1]) | 0x80])
        if match[2]:
            return bytes([(ord(match[2]) ^ 0x40) | 0x80])
        if match[3]:
            return bytes([ord(match[3]) ^ 0x40])
        return bytes([int(match[4], 8)]) if match[4] else b"\\"

    return re.sub(
        rb"\\(?:M-(.)|M\^(.)|\^(.)|([0-3][0-7]{2})|\\)", octet, name.encode("utf-8", "surrogateescape"), flags=re.DOTALL
    ).decode("utf-8", "replace")
