"""The accounts and aliases of a domain as tables that other mail hosts read: a passwd-file of Dovecot, and aliases as virtual(5) of Postfix has them."""

import dataclasses
import pathlib
import re

from mailhost.failure import Failure
from mailhost.restore import accounts

DOVECOT = pathlib.Path("/etc/dovecot")
SMTPD = pathlib.Path("/etc/smtpd")
SHADOW = pathlib.Path("/etc/shadow")

#: Schemes of Dovecot by what crypt(5) begins with; `CRYPT` is what the system of the other host knows.
SCHEMES = {"$6$": "SHA512-CRYPT", "$5$": "SHA256-CRYPT", "$2": "BLF-CRYPT"}
#: By which an alias leads to a domain that another host has.
ONWARD = re.compile(r"\.onward\.invalid$")


@dataclasses.dataclass(frozen=True)
class Tables:
    #: `address:{SCHEME}hash::::::fields`, with the password hashes.
    accounts: str
    #: `address recipient,recipient`; `@example.org` for the rest of a domain.
    aliases: str


def tables(domain: str) -> Tables:
    own = identities()
    hashes, quotas = password_hashes(), quotas_in_mb()
    targets = virtuals()
    mine = [user for user, addresses in own.items() if addresses[0].endswith(f"@{domain}")]
    if not mine and not any(name.endswith(f"@{domain}") for name in targets):
        raise Failure(f"{domain} is no domain of this host, or has no address")
    lines = []
    for user in mine:
        address, *others = own[user]
        fields = [f"userdb_quota_rule=*:storage={quotas[user]}M"] if user in quotas else []
        send_as = [other for other in others if targets.get(other) != [address]]
        fields += [f"userdb_send_as={','.join(send_as)}"] if send_as else []
        lines.append(f"{address}:{with_scheme(hashes[user])}::::::{' '.join(fields)}")
    known = {addresses[0] for addresses in own.values()}
    aliases = [
        f"{name} {','.join(leads_to)}"
        for name, leads_to in targets.items()
        if name.endswith(f"@{domain}") and name not in known and not is_role(name, leads_to, targets)
    ]
    return Tables("".join(f"{line}\n" for line in lines), "".join(f"{line}\n" for line in aliases))


def is_role(name: str, leads_to: list[str], targets: dict[str, list[str]]) -> bool:
    """Whether it is one of the addresses that each domain has for its postmaster, without a setting."""
    return name.split("@")[0] in ROLES and leads_to == targets["root"]


#: As components/settings/mailSettings.ts has them.
ROLES = ("abuse", "dmarc-reports", "hostmaster", "postmaster", "tls-reports")


def identities() -> dict[str, list[str]]:
    """The addresses that each user may send as; the first is that of the account."""
    pairs = [line.split(None, 1) for line in (SMTPD / "identities").read_text().splitlines()]
    return {user: addresses.strip().split(",") for user, addresses in pairs}


def virtuals() -> dict[str, list[str]]:
    """Of each alias, where it leads to. A long list is in parts, which are entries without a domain."""
    pairs = [line.split(None, 1) for line in (SMTPD / "virtuals").read_text().splitlines()]
    found = {name: targets.replace("\\", "").strip().split(",") for name, targets in pairs}

    def whole(targets: list[str]) -> list[str]:
        return [
            ONWARD.sub("", address)
            for target in targets
            for address in (found[target] if target.startswith(".") else [target])
        ]

    return {name: whole(targets) for name, targets in found.items() if not name.startswith(".")}


def password_hashes() -> dict[str, str]:
    """crypt(5), by user name."""
    path = DOVECOT / "passwords"
    lines = (path if path.exists() else SHADOW).read_text().splitlines()
    known = accounts()
    return {fields[0]: fields[1].removeprefix("{CRYPT}") for line in lines if (fields := line.split(":"))[0] in known}


def quotas_in_mb() -> dict[str, str]:
    found = re.finditer(r"^([^:]+):.*userdb_quota_storage_size=(\d+)M", (DOVECOT / "users").read_text(), re.MULTILINE)
    return {match[1]: match[2] for match in found}


def with_scheme(crypt: str) -> str:
    scheme = next((name for begin, name in SCHEMES.items() if crypt.startswith(begin)), "CRYPT")
    return f"{{{scheme}}}{crypt}"
