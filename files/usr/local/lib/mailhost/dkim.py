"""Says when a DKIM key may sign: once others find its record, and for as long as it stays the same."""

import base64
import dataclasses
import hashlib
import pathlib
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from mailhost.dkim_evidence import Entry, Evidence, begin, load, note, now, save, signers
from mailhost.documents import parsed
from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.specs import SPECS
from mailhost.system import run
from mailhost.transaction import STATE
from mailhost.visibility import Look, Query, look_at_all

if TYPE_CHECKING:
    import dns.rdata
    from dns.rdtypes.txtbase import TXTBase

SETTINGS = "/etc/mailhost/dkim.json"
PUBLIC_KEYS = "/etc/mailhost/dkim-keys.json"
#: A file for each domain that does not sign yet; amavis asks for it, so it lies where that may look.
UNSIGNED = pathlib.Path("/srv/mailhost/unsigned")
#: Until amavis has been restarted for domains that sign from then on, also where that was cut off.
RESTART = STATE / "restart-amavis"
(TIMER,) = SPECS["amavis"].timers

#: Seconds to wait for a key that is to follow another.
PATIENCE = 300
#: Seconds to wait for the key of a domain that has none before it, and meanwhile sends unsigned.
FIRST_PATIENCE = 30


#: Of a domain and a selector.
Name = tuple[str, str]
#: The public part of each key that is to be out, in base64, by domain and selector.
Keys = dict[str, dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Domain:
    """Selectors: the one that signs, and all that are to be out."""

    signs: str
    published: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    domains: dict[str, Domain]
    #: Seconds for which signatures hold.
    retention: int


def check(files: Files, owned: Manifest) -> None:
    """
    Waits until the keys that are to sign may, as long as that is minutes; notes that they do before they can.

    Raises Failure where a key may not sign yet, is another one than before, or signed too lately to go.
    """
    settings, keys = wanted(files[SETTINGS].text, files[PUBLIC_KEYS].text)
    domains = settings.domains
    # Signatures hold as long as they were made to, also where this plan shortens that.
    retention = max(settings.retention, live()[0].retention)
    evidence = load()
    adopt(evidence, owned)
    note_keys(evidence, keys)
    refuse_early_removal(evidence, domains, retention)
    try:
        unsigned = wait_until_visible(evidence, domains, keys)
    finally:
        save(evidence)
    for domain, plan in domains.items():
        if domain not in unsigned:
            begin(evidence, domain, plan.signs)
    for domain, selectors in evidence.items():
        for selector in signers(selectors):
            longest = max(selectors[selector].longest or 0, retention)
            note(evidence, domain, selector, retention=retention, longest=longest)
    save(evidence)
    UNSIGNED.mkdir(parents=True, exist_ok=True)
    for domain in set(unsigned) | unsigned_domains():
        marker = UNSIGNED / domain
        marker.touch() if domain in unsigned else marker.unlink()
    for domain, reason in sorted(unsigned.items()):
        print(f"WARNING: {warning(domain, domains[domain].signs, reason)}")


def note_signers() -> None:
    """That keys which amavis no longer has do not sign any more; the timer looks from then on whether all are out."""
    settings, keys = live()
    evidence = load()
    forget_unwatched(evidence, keys)
    for domain, selectors in evidence.items():
        plan = settings.domains.get(domain)
        for selector in signers(selectors):
            entry = selectors[selector]
            retention = settings.retention if entry.retention is None else entry.retention
            note(evidence, domain, selector, keep=max(entry.keep or 0, now() + retention))
            if plan is None or selector != plan.signs:
                note(evidence, domain, selector, until=now())
    save(evidence)
    # Of a push that was undone.
    for domain in unsigned_domains() - settings.domains.keys():
        (UNSIGNED / domain).unlink()
    run("systemctl", "enable", "--now", "--quiet", TIMER)


def newly_visible() -> bool:
    """
    Looks which records are out; whether amavis has to be restarted for domains that may sign now.

    At all of them: one that was gone, and is back, others may not know for a while.
    """
    settings, keys = live()
    evidence = load()
    forget_unwatched(evidence, keys)
    looks = look_for(evidence, keys, {(d, s) for d, selectors in keys.items() for s in selectors})
    # A push that was cut off has marked domains that are not there.
    waiting = {d: settings.domains[d].signs for d in sorted(unsigned_domains() & settings.domains.keys())}
    ready = [d for d, s in waiting.items() if may_sign(evidence, d, s, looks[d, s])[0] <= now()]
    for domain in ready:
        begin(evidence, domain, waiting[domain])
    save(evidence)
    if ready:
        RESTART.touch()
    for domain in ready:
        (UNSIGNED / domain).unlink()
        print(f"{domain} signs with {waiting[domain]} from now on")
    return RESTART.exists()


def warnings(selectors: Iterable[Name]) -> list[str]:
    """Of each domain that sends unsigned, by the domains and the selectors that they are to sign with."""
    unsigned = unsigned_domains()
    return [warning(domain, selector) for domain, selector in selectors if domain in unsigned]


def warning(domain: str, selector: str, reason: str | None = None) -> str:
    return (
        f"{domain} sends unsigned until all name servers of its zone answer with "
        f"{selector}._domainkey.{domain}{f': {reason}' if reason else ''}. Once they do it signs by itself"
    )


def has_announced_key(domain: str, selector: str) -> bool:
    """Whether amavis has the other half of the key whose record is looked for."""
    half = run("openssl", "pkey", "-in", f"/etc/amavis/dkim/{domain}.{selector}.pem", "-pubout")
    return "".join(half.splitlines()[1:-1]) == live()[1].get(domain, {}).get(selector)


def unsigned_domains() -> set[str]:
    return {path.name for path in UNSIGNED.iterdir()} if UNSIGNED.is_dir() else set()


# ---- what is to be ----


def wanted(settings: str, keys: str) -> tuple[Settings, Keys]:
    """By the texts of SETTINGS and PUBLIC_KEYS."""
    return parsed(Settings, settings, SETTINGS), parsed(Keys, keys, PUBLIC_KEYS)


def live() -> tuple[Settings, Keys]:
    """Nothing, before the first push."""
    if not pathlib.Path(SETTINGS).exists():
        return Settings({}, 0), {}
    return wanted(pathlib.Path(SETTINGS).read_text(), pathlib.Path(PUBLIC_KEYS).read_text())


# ---- evidence ----


def adopt(evidence: Evidence, owned: Manifest) -> None:
    """What signs on a host that has kept no evidence yet, by the files that it has."""
    for path in owned:
        match = re.fullmatch(r"/etc/amavis/dkim/(.+)\.(s\d+)\.pem", path)
        if match is None or match[1] in unsigned_domains():
            continue
        if not any(entry.begun is not None for entry in evidence.get(match[1], {}).values()):
            begin(evidence, match[1], match[2])


def note_keys(evidence: Evidence, keys: Keys) -> None:
    for domain, selectors in keys.items():
        for selector, key in selectors.items():
            before = evidence.get(domain, {}).get(selector, Entry()).key
            note(evidence, domain, selector, key=before or fingerprint(key))
            if before not in (None, fingerprint(key)):
                highest = max(int(name[1:]) for name in evidence[domain])
                raise Failure(
                    f"{selector} of {domain} would get another key than it had. Mail that was signed with that could no "
                    f"longer be verified: set dkimGeneration of the domain to {highest + 1} or more"
                )


def fingerprint(key: str) -> str:
    return hashlib.sha256(base64.b64decode(key)).hexdigest()


def refuse_early_removal(evidence: Evidence, domains: dict[str, Domain], retention: int) -> None:
    for domain, plan in domains.items():
        for selector, entry in evidence.get(domain, {}).items():
            if entry.begun is None or selector in plan.published:
                continue
            until = now() if entry.until is None else entry.until
            may_go = max(entry.keep or 0, until + (retention if entry.retention is None else entry.retention))
            if may_go > now():
                raise Failure(
                    f"{selector} of {domain} signed until {utc(until)}, and its record has to stay until "
                    f"{utc(may_go)}: run `pulumi up` again after that, or set dkimGeneration back"
                )


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# ---- looking ----


def unseen(evidence: Evidence, keys: Keys) -> set[Name]:
    """Each key that is to be out, and was not yet."""
    return {
        (d, s)
        for d, selectors in keys.items()
        for s in selectors
        if evidence.get(d, {}).get(s, Entry()).visible is None
    }


def look_for(evidence: Evidence, keys: Keys, names: set[Name]) -> dict[Name, Look]:
    """Notes since when each of these keys is out; gives what was seen of each."""
    order = sorted(names)
    looks = look_at_all([Query(d, f"{s}._domainkey.{d}", "TXT", are_key(keys[d][s])) for d, s in order])
    for (domain, selector), seen in zip(order, looks, strict=True):
        visible = evidence.get(domain, {}).get(selector, Entry()).visible
        if seen.missing is None:
            note(evidence, domain, selector, visible=now() + 1 if visible is None else visible)
        elif seen.certain:
            note(evidence, domain, selector, visible=None)
    return dict(zip(order, looks, strict=True))


def forget_unwatched(evidence: Evidence, keys: Keys) -> None:
    """What is not in the plan nobody looks at: it may be gone, and come back."""
    for domain, selectors in evidence.items():
        for selector in selectors.keys() - keys.get(domain, {}).keys():
            note(evidence, domain, selector, visible=None)


def may_sign(evidence: Evidence, domain: str, selector: str, seen: Look) -> tuple[float, str | None]:
    """From when on, at the earliest, and why not before. For the first key of a new domain nobody has asked yet."""
    if seen.missing is not None:
        return time.time() + 1, seen.missing
    if not any(entry.begun is not None for entry in evidence[domain].values()):
        return 0, None
    since = (evidence[domain][selector].visible or now() + 1) + seen.negative_ttl
    return since, f"until {utc(since)} others may remember that it was not there"


def are_key(key: str) -> "Callable[[list[dns.rdata.Rdata]], bool]":
    """Which of several records counts is undefined (RFC 6376, section 3.6.2.2)."""
    return lambda records: [public_key(record) for record in records] == [key]


def public_key(record: "dns.rdata.Rdata") -> str:
    return re.sub(r"\s", "", tag(b"".join(cast("TXTBase", record).strings).decode("ascii", "replace"), "p"))


def tag(text: str, name: str) -> str:
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value
    return ""


def wait_until_visible(evidence: Evidence, domains: dict[str, Domain], keys: Keys) -> dict[str, str | None]:
    """Gives why each domain that has no key which may sign must send unsigned, once that has been waited for a little."""
    signing = {domain: plan.signs for domain, plan in domains.items()}
    present = {domain: signers(evidence.get(domain, {})) for domain in signing}
    new = {(domain, selector) for domain, selector in signing.items() if present[domain] != {selector}}
    known = unsigned_domains()
    start = spoken = time.time()
    looks = look_for(evidence, keys, new | unseen(evidence, keys))
    while True:
        unsigned: dict[str, str | None] = {}
        waits: dict[str, str] = {}
        refused: dict[str, str] = {}
        for domain, selector in new:
            until, reason = may_sign(evidence, domain, selector, looks[domain, selector])
            if until <= time.time():
                continue
            patience = PATIENCE if present[domain] else FIRST_PATIENCE
            late = max(until, time.time()) > start + patience
            if not present[domain]:
                unsigned[domain] = reason
                if late or domain in known:
                    continue
            (refused if late else waits)[domain] = f"{selector}: {reason}"
        if refused:
            # Those that may still come out in time, too: all that would hold up the next `up`.
            refused.update((domain, what) for domain, what in waits.items() if present[domain])
            lines = "".join(f"- {domain}, {what}\n" for domain, what in sorted(refused.items()))
            raise Failure(
                f"these DKIM keys may not sign yet:\n{lines}Signing goes on with the keys from before. Run `pulumi up` again "
                "once that has changed, or have a domain keep its key by a dkimGeneration of its own: domains[i].dkimGeneration"
            )
        if not waits:
            return unsigned
        if time.time() >= spoken:
            for domain, what in sorted(waits.items())[:5]:
                print(f"waiting for {domain}, {what}", flush=True)
            spoken = time.time() + 60
        time.sleep(1)
        looks.update(look_for(evidence, keys, {(domain, signing[domain]) for domain in waits}))
