"""
Certificates of a public CA by ACME (RFC 8555), for the keys and requests that were pushed. certbot speaks to the CA.

What comes of it is put in force as a push is: checked, served by every port, or undone.
"""

import dataclasses
import json
import pathlib
import re
import tempfile
import time
import urllib.request
from collections.abc import Collection, Iterable, Sequence

from mailhost import certificates, resolver
from mailhost.certbot import ROOT, Hanging, certbot, registration
from mailhost.daemons import DAEMONS, host_alone, reactivate, wanted
from mailhost.documents import parsed, plain
from mailhost.failure import ERRORS, Failure
from mailhost.files import put_private
from mailhost.notices import notify_postmaster
from mailhost.system import host_name, locked, run

#: Says what the CA is to be asked for; absent where another issues the certificates.
SETTINGS = pathlib.Path("/etc/mailhost/certificates.json")
STATE = ROOT / "state.json"
#: For all that lies in ROOT. Who holds the lock of the host does not wait for it.
LOCK = "/run/mailhost-acme.lock"
WEBROOT = "/var/www/html"

#: In one run. With a run each 10 minutes that is 270 in 3 hours; Let's Encrypt allows an account 300.
MOST_ORDERS = 15
#: Seconds to the next try after the first failure; twice as many after each other one. Let's Encrypt allows five failed
#: validations of a name in an hour.
PATIENCE = 15 * 60
MOST_PATIENCE = 6 * 3600


@dataclasses.dataclass(frozen=True)
class Request:
    """What the CA is asked for."""

    #: Of the certificate.
    names: tuple[str, ...]
    #: Paths of the request and of its key, PEM.
    request: str
    private_key: str = dataclasses.field(metadata={"key": "privateKey"})


@dataclasses.dataclass(frozen=True)
class Settings:
    #: URL of the CA's directory.
    directory: str
    #: Whom the CA may write to.
    contact: str
    #: By the names of the certificates.
    certificates: dict[str, Request]


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A certificate whose renewal fails. Times are seconds of the epoch."""

    since: float
    failures: int
    error: str
    #: When it is tried again.
    next: float


@dataclasses.dataclass(frozen=True)
class Account:
    """The account at the CA, as far as it is known."""

    uri: str | None = None
    #: By which the CA finds itself in CAA records.
    caa_identities: tuple[str, ...] | None = dataclasses.field(metadata={"key": "caaIdentities"}, default=None)


def settings() -> Settings | None:
    return parsed(Settings, SETTINGS.read_text(), str(SETTINGS)) if SETTINGS.exists() else None


def renew(forced: Collection[str], of_up: bool = False) -> None:
    """
    Asks for each certificate that is due, or named, and serves what the CA has issued.

    What the CA refuses is kept, and the next run tries again: what is served already goes on. Raises Failure for a
    certificate that was named and is not served, and, except in an `up`, where renewal as a whole is impossible.
    """
    known = settings()
    found: list[str] = []
    served: set[str] = set()
    if known is None and forced:
        raise Failure("the host gets no certificates by ACME: the setting tls.issuer is not acme")
    if known is not None:
        unknown = sorted(set(forced) - set(known.certificates))
        if unknown:
            raise Failure(f"no certificate is called {', '.join(unknown)}: choose of {', '.join(known.certificates)}")
        try:
            with locked(LOCK):
                due = ask_for_due(known, forced)
                if due:
                    with host_alone():
                        served = serve(due)
        except ERRORS as error:
            found.append(f"certificates cannot be renewed now: {error}")
    cannot = [*found]
    found += warnings()
    for warning in found:
        print(f"WARNING: {warning}")
    try:
        notify(found)
    except ERRORS as error:
        print(f"WARNING: the postmaster cannot be told of it: {error}")
    missing = [name for name in forced if name not in served]
    if missing:
        reasons = "\n".join(f"- {name}: {why_not_served(name, cannot)}" for name in missing)
        raise Failure(f"not renewed, the certificates from before are still served:\n{reasons}")
    if cannot and not of_up:
        raise Failure(cannot[0])


def why_not_served(name: str, cannot: Sequence[str]) -> str:
    if cannot:
        return cannot[0]
    trouble = state().get(name)
    return trouble.error if trouble else f"its turn comes in a later run; to ask for it alone: mailhost renew {name}"


def ask_for_due(known: Settings, forced: Collection[str]) -> list[str]:
    """Gives the names of the certificates that the CA has issued and that are not served yet."""
    certificates.FRESH.mkdir(mode=0o700, exist_ok=True)
    certificates.drop_all_but(known.certificates)
    write_state({name: entry for name, entry in state().items() if name in known.certificates})
    orders = 0
    fresh = []
    for name, wanted_one in sorted(known.certificates.items(), key=lambda item: item[0] not in forced):
        if name not in forced:
            # Not one that is farther off than any can be: the clock was ahead.
            trouble = state().get(name)
            if trouble and 0 < trouble.next - time.time() <= MOST_PATIENCE:
                continue
            # Issued by a run that could not go on to serve it.
            if fits(certificates.pair_in(certificates.FRESH, name), known, wanted_one):
                fresh.append(name)
                continue
            if fits(certificates.issued(name), known, wanted_one):
                remember(name, None)
                continue
        if orders == MOST_ORDERS:
            break
        try:
            check_addresses(wanted_one.names)
        except Failure as failure:
            # The CA was not asked, so the next run may look again.
            remember(name, failure, patience=0)
            continue
        orders += 1
        try:
            ask(name, known, wanted_one)
        except ERRORS as failure:
            remember(name, failure)
            if isinstance(failure, Hanging):
                break
            continue
        print(f"the CA has issued a certificate for {', '.join(wanted_one.names)}")
        fresh.append(name)
    return fresh


def fits(pair: certificates.Pair | None, known: Settings, wanted_one: Request) -> bool:
    """Whether the pair is by the CA and for the key and names of the plan, and good for a while."""
    if pair is None or pair.directory != known.directory or certificates.is_due(pair.chain):
        return False
    try:
        certificates.check_pair(pair.chain, pathlib.Path(wanted_one.private_key).read_text(), wanted_one.names)
    except Failure:
        return False
    return True


def check_addresses(names: Iterable[str]) -> None:
    """Raises Failure where the CA would not find this host by each of the names."""
    own = set(re.findall(r"inet6? ([0-9a-f.:]+)/", run("ip", "address", "show", "scope", "global")))
    for name in names:
        found = resolver.fresh_records(name, "A", "AAAA")
        if not found:
            raise Failure(f"{name} has no address in DNS")
        strange = sorted(set(found) - own)
        if strange:
            raise Failure(f"{name} has the address {', '.join(strange)}, which is not this host's")


def ask(name: str, known: Settings, wanted_one: Request) -> None:
    """Raises Failure with the CA's words, or for a certificate that could never be served."""
    way = ("--webroot", "--webroot-path", WEBROOT) if DAEMONS["web"] in wanted() else ("--standalone",)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        certbot(
            "certonly", *way, "--csr", wanted_one.request, "--fullchain-path", f"{folder}/fullchain.pem",
            "--cert-path", f"{folder}/cert.pem", "--chain-path", f"{folder}/chain.pem",
            *registration(known.contact), directory=known.directory,
        )  # fmt: skip
        chain = pathlib.Path(folder, "fullchain.pem").read_text()
    key = pathlib.Path(wanted_one.private_key).read_text()
    certificates.check_pair(chain, key, wanted_one.names)
    certificates.store(name, certificates.Pair(chain, key, known.directory))


def serve(names: Iterable[str]) -> set[str]:
    """Gives the names of those that are served now. Each daemon takes all that is new for it at once."""
    own_name = host_name()
    served: set[str] = set()
    valid = {name for name in names if is_valid_now(name)}
    for daemon, own in (("tls", valid & {own_name}), ("web", valid - {own_name})):
        if not own:
            continue
        try:
            print(reactivate(DAEMONS[daemon], own))
        except ERRORS as failure:
            for name in own:
                remember(name, failure)
            continue
        for name in own:
            certificates.keep(name)
            remember(name, None)
        served |= own
    return served


def is_valid_now(name: str) -> bool:
    pair = certificates.issued(name, fresh=True)
    if pair is None:
        return False
    try:
        certificates.check_dates(pair.chain)
    except Failure as failure:
        remember(name, failure)
        return False
    return True


def state() -> dict[str, Trouble]:
    """By the names of the certificates."""
    try:
        return parsed(dict[str, Trouble], STATE.read_text(), str(STATE)) if STATE.exists() else {}
    except Failure:
        # Damaged: as if nothing had failed yet.
        return {}


def remember(name: str, failure: Exception | None, patience: float = PATIENCE) -> None:
    entries = state()
    if failure is None and name not in entries:
        return
    before = entries.pop(name, None)
    if failure is not None:
        failures = before.failures if before else 0
        entries[name] = Trouble(
            # The clock may have been ahead.
            since=min(before.since, time.time()) if before else time.time(),
            failures=failures + (patience > 0),
            error=" ".join(str(failure).split()),
            next=time.time() + min(patience * 2**failures, MOST_PATIENCE),
        )
    write_state(entries)


def write_state(entries: dict[str, Trouble]) -> None:
    put_private(STATE, json.dumps(entries, default=plain, indent=1))


def warnings() -> list[str]:
    """What a person should know of the certificates."""
    known = settings()
    if known is None:
        chain = pathlib.Path(certificates.CHAIN).read_text()
        return [
            f"the certificate ends on {certificates.end_of(chain):%Y-%m-%d}. Run `pulumi up`, which issues it again; where it "
            "was provided, set another first"
        ] if certificates.ends_soon(chain) else []  # fmt: skip
    failures = state()
    found = []
    for name in known.certificates:
        pair = certificates.issued(name)
        error = failures[name].error if name in failures else ""
        if pair is None:
            reason = error or "its turn comes with one of the next runs of mailhost-renew.timer"
            found.append(f"{name} has no certificate of the CA yet, and is served with the stack's own: {reason}")
        elif error:
            found.append(
                f"the certificate of {name} ends on {certificates.end_of(pair.chain):%Y-%m-%d}, and its renewal fails: {error}"
            )
        elif certificates.ends_soon(pair.chain):
            found.append(
                f"the certificate of {name} ends on {certificates.end_of(pair.chain):%Y-%m-%d}, and was not renewed: journalctl --unit mailhost-renew"
            )
    return found if len(found) <= 10 else [*found[:10], f"and {len(found) - 10} certificates more: mailhost renew"]


def notify(found: Sequence[str]) -> None:
    """Writes to the postmaster once a day, where a certificate ends soon or could not be had for a day."""
    last = ROOT / "notified"
    if last.exists() and 0 <= time.time() - last.stat().st_mtime < certificates.DAY:
        return
    known = settings()
    if known is None:
        chains = [pathlib.Path(certificates.CHAIN).read_text()]
    else:
        chains = [pair.chain for name in known.certificates if (pair := certificates.issued(name))]
    is_late = any(time.time() - entry.since > certificates.DAY for entry in state().values())
    if not found or not (is_late or any(certificates.ends_soon(chain) for chain in chains)):
        return
    text = "\n\n".join(found) + "\n\nTo try again at once, on the host: mailhost renew CERTIFICATE\n"
    notify_postmaster(f"Certificates of {host_name()}", text)
    last.touch()


def account(directory: str, contact: str) -> Account:
    """The account at the CA, made where there is none."""
    with locked(LOCK):
        try:
            shown = certbot("show_account", directory=directory)
        except Failure:
            certbot("register", *registration(contact), directory=directory)
            shown = certbot("show_account", directory=directory)
        if f"Email contact: {contact}" not in shown:
            certbot("update_account", *registration(contact)[1:], directory=directory)
    with urllib.request.urlopen(directory, timeout=30) as answer:
        meta = json.load(answer).get("meta", {})
    uri = re.search(r"Account URL: (\S+)", shown)
    return Account(uri and uri[1], tuple(meta.get("caaIdentities", [])))
