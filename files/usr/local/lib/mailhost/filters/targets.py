"""Where mail for an address goes, as OpenSMTPD looks it up in its tables."""

import pathlib

from tables import Tables


class Targets:
    def __init__(self, domains: str, virtuals: str):
        """Of the paths of two tables. The domains that another host has are in one beside that of the domains, if there are any."""
        with open(domains) as lines:
            self.domains = set(lines.read().lower().split())
        elsewhere = pathlib.Path(elsewhere_beside(domains))
        self.elsewhere = set(elsewhere.read_text().lower().split()) if elsewhere.exists() else set()
        with open(virtuals) as lines:
            pairs = [line.lower().split(None, 1) for line in lines]
        # An apostrophe has a backslash before it.
        self.virtuals = {name: targets.replace("\\", "").replace(",", " ").split() for name, targets in pairs}

    def is_here(self, address: str) -> bool:
        return address.rpartition("@")[2] in self.domains

    def of(self, address: str) -> list[str] | None:
        """
        Of an address in a domain of ours, or of an entry without a domain; None where there is none.

        A part of a long list is such an entry. The user of a mailbox is named in the same way, and is none.
        """
        local, at, domain = address.rpartition("@")
        user = local.partition("+")[0]
        names = (address, f"{user}@{domain}", user, f"@{domain}") if at else (address,)
        return next((self.virtuals[name] for name in names if name in self.virtuals), None)

    def lead_outside(self, address: str) -> bool:
        """Whether mail for an address of ours goes to one elsewhere, too."""
        pending, seen = [address], set()
        while pending:
            address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            if "@" in address and not self.is_here(address):
                return True
            pending += self.of(address) or []
        return False


def watched(domains: str, virtuals: str) -> Tables[Targets]:
    """The targets as of the tables at any time."""
    return Tables(lambda: Targets(domains, virtuals), domains, virtuals, elsewhere_beside(domains))


def elsewhere_beside(domains: str) -> str:
    return str(pathlib.Path(domains).with_name("elsewhere"))


def parts_of(address: str) -> tuple[str, str]:
    """Local part and domain, as OpenSMTPD reads them: without a route, and maybe without a domain."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    return local.partition(":")[2] or local, domain
