"""Where mail for an address goes, as OpenSMTPD looks it up in its tables."""

import pathlib

from tables import Tables


class Targets:
    def __init__(self, domains: str, virtuals: str):
        """Of the paths of two tables. Those of domains that another host has are beside that of the domains, if there are any."""
        with open(domains) as lines:
            self.domains = set(lines.read().lower().split())
        self.elsewhere = set(words_in(beside(domains, "elsewhere")))
        #: Domains that have moved away: what arrives for them is sent on, by the name of this host.
        self.forwarded = set(words_in(beside(domains, "forwarded")))
        #: That name, where there are such domains.
        self.late_name = "".join(words_in(beside(domains, "late"))[1:2]).rpartition("@")[2]
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
            domain = address.rpartition("@")[2]
            if "@" in address and (domain not in self.domains or domain in self.forwarded):
                return True
            pending += self.of(address) or []
        return False


def watched(domains: str, virtuals: str) -> Tables[Targets]:
    """The targets as of the tables at any time."""
    others = [beside(domains, name) for name in ("elsewhere", "forwarded", "late")]
    return Tables(lambda: Targets(domains, virtuals), domains, virtuals, *others)


def beside(domains: str, name: str) -> str:
    return str(pathlib.Path(domains).with_name(name))


def words_in(path: str) -> list[str]:
    """None where there is no such file."""
    file = pathlib.Path(path)
    return file.read_text().lower().split() if file.exists() else []


def parts_of(address: str) -> tuple[str, str]:
    """Local part and domain, as OpenSMTPD reads them: without a route, and maybe without a domain."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    return local.partition(":")[2] or local, domain
