"""
Says when a DKIM key may sign: once others find its record, and for as long as it stays the same.

The evidence lies on the volume, so that a new server has it: for each domain and selector the key's fingerprint, since when
all name servers answer with it (`visible`), from when until when it signed, for how long signatures hold (`retention`),
the longest that they ever did (`longest`), and until when those hold that there are (`keep`). Times are seconds of the epoch.
"""

import base64
import hashlib
import json
import pathlib
import re
import time

from mailhost.failure import Failure
from mailhost.files import put
from mailhost.system import run
from mailhost.transaction import STATE
from mailhost.visibility import Look, look_at_all

EVIDENCE = pathlib.Path("/srv/mailhost/dkim.json")
SETTINGS = "/etc/mailhost/dkim.json"
PUBLIC_KEYS = "/etc/mailhost/dkim-keys.json"
#: A file for each domain that does not sign yet; amavis asks for it, so it lies where that may look.
UNSIGNED = pathlib.Path("/srv/mailhost/unsigned")
#: Until amavis has been restarted for domains that sign from then on, also where that was cut off.
RESTART = STATE / "restart-amavis"
TIMER = "mailhost-sign.timer"

#: Seconds to wait for a key that is to follow another.
PATIENCE = 300
#: Seconds to wait for the key of a domain that has none before it, and meanwhile sends unsigned.
FIRST_PATIENCE = 30


def check(files: dict, owned: dict) -> None:
    """
    Waits until the keys that are to sign may, as long as that is minutes; notes that they do before they can.

    Raises Failure where a key may not sign yet, is another one than before, or signed too lately to go.
    """
    domains, keys, retention = parsed(files[SETTINGS]["text"], files[PUBLIC_KEYS]["text"])
    # Signatures hold as long as they were made to, also where this plan shortens that.
    retention = max(retention, live()[2])
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
            begin(evidence[domain][plan["signs"]])
    for selectors in evidence.values():
        for selector in signers(selectors):
            entry = selectors[selector]
            entry["retention"] = retention
            entry["longest"] = max(entry.get("longest", 0), retention)
    save(evidence)
    UNSIGNED.mkdir(parents=True, exist_ok=True)
    for domain in set(unsigned) | unsigned_domains():
        marker = UNSIGNED / domain
        marker.touch() if domain in unsigned else marker.unlink()
    for domain, reason in sorted(unsigned.items()):
        print(f"WARNING: {warning(domain, domains[domain]['signs'], reason)}")


def note_signers() -> None:
    """That keys which amavis no longer has do not sign any more; the timer looks from then on whether all are out."""
    domains, keys, retention = live()
    evidence = load()
    forget_unwatched(evidence, keys)
    for domain, selectors in evidence.items():
        for selector in signers(selectors):
            entry = selectors[selector]
            entry["keep"] = max(entry.get("keep", 0), now() + entry.get("retention", retention))
            if selector != domains.get(domain, {}).get("signs"):
                entry["until"] = now()
    save(evidence)
    # Of a push that was undone.
    for domain in unsigned_domains() - domains.keys():
        (UNSIGNED / domain).unlink()
    run("systemctl", "enable", "--now", "--quiet", TIMER)


def newly_visible() -> bool:
    """
    Looks which records are out; whether amavis has to be restarted for domains that may sign now.

    At all of them: one that was gone, and is back, others may not know for a while.
    """
    domains, keys, _ = live()
    evidence = load()
    forget_unwatched(evidence, keys)
    looks = look_for(evidence, keys, {(d, s) for d, selectors in keys.items() for s in selectors})
    # A push that was cut off has marked domains that are not there.
    waiting = {d: domains[d]["signs"] for d in sorted(unsigned_domains() & domains.keys())}
    ready = [d for d, s in waiting.items() if may_sign(evidence, d, s, looks[d, s])[0] <= now()]
    for domain in ready:
        begin(evidence[domain][waiting[domain]])
    save(evidence)
    if ready:
        RESTART.touch()
    for domain in ready:
        (UNSIGNED / domain).unlink()
        print(f"{domain} signs with {waiting[domain]} from now on")
    return RESTART.exists()


def warnings(domains: list) -> list:
    """Of each of the domains, [{name, selector}], that sends unsigned."""
    unsigned = unsigned_domains()
    return [warning(d["name"], d["selector"]) for d in domains if d["name"] in unsigned]


def warning(domain: str, selector: str, reason: str | None = None) -> str:
    return (
        f"{domain} sends unsigned until all name servers of its zone answer with "
        f"{selector}._domainkey.{domain}{f': {reason}' if reason else ''}. Once they do it signs by itself"
    )


def has_announced_key(domain: str, selector: str) -> bool:
    """Whether amavis has the other half of the key whose record is looked for."""
    half = run("openssl", "pkey", "-in", f"/etc/amavis/dkim/{domain}.{selector}.pem", "-pubout")
    return "".join(half.splitlines()[1:-1]) == live()[1].get(domain, {}).get(selector)


def unsigned_domains() -> set:
    return {path.name for path in UNSIGNED.iterdir()} if UNSIGNED.is_dir() else set()


# ---- what is to be ----


def parsed(settings: str, keys: str) -> tuple:
    plan = json.loads(settings)
    return plan["domains"], json.loads(keys), plan["retention"]


def live() -> tuple:
    """Nothing, before the first push."""
    if not pathlib.Path(SETTINGS).exists():
        return {}, {}, 0
    return parsed(pathlib.Path(SETTINGS).read_text(), pathlib.Path(PUBLIC_KEYS).read_text())


# ---- evidence ----


def load() -> dict:
    """Times that are still to come were noted by a clock that was ahead, as one can be that no time server has set yet."""
    evidence = noted()
    for selectors in evidence.values():
        for entry in selectors.values():
            latest = {"visible": now() + 1, "from": now(), "until": now()}
            if "longest" in entry:
                latest["keep"] = now() + entry["longest"]
            entry.update({what: min(entry[what], at) for what, at in latest.items() if what in entry})
    return evidence


def noted() -> dict:
    return json.loads(EVIDENCE.read_text()) if EVIDENCE.exists() else {}


def save(evidence: dict) -> None:
    if evidence == noted():
        return
    text = f"{json.dumps(evidence, indent=1, sort_keys=True)}\n"
    put(str(EVIDENCE), {"mode": "0644", "owner": "root:root", "text": text})


def now() -> int:
    return int(time.time())


def begin(entry: dict) -> None:
    if "from" not in entry or "until" in entry:
        entry["from"] = now()
        entry.pop("until", None)


def signers(selectors: dict) -> set:
    """Those whose keys may sign now: two, after a switch that was cut off."""
    return {selector for selector, entry in selectors.items() if "from" in entry and "until" not in entry}


def adopt(evidence: dict, owned: dict) -> None:
    """What signs on a host that has kept no evidence yet, by the files that it has."""
    for path in owned:
        match = re.fullmatch(r"/etc/amavis/dkim/(.+)\.(s\d+)\.pem", path)
        if match is None or match[1] in unsigned_domains():
            continue
        selectors = evidence.setdefault(match[1], {})
        if not any("from" in entry for entry in selectors.values()):
            begin(selectors.setdefault(match[2], {}))


def note_keys(evidence: dict, keys: dict) -> None:
    for domain, selectors in keys.items():
        for selector, key in selectors.items():
            entry = evidence.setdefault(domain, {}).setdefault(selector, {})
            if entry.setdefault("key", fingerprint(key)) != fingerprint(key):
                highest = max(int(name[1:]) for name in evidence[domain])
                raise Failure(
                    f"{selector} of {domain} would get another key than it had. Mail that was signed with that could no "
                    f"longer be verified: set dkimGeneration of the domain to {highest + 1} or more"
                )


def fingerprint(key: str) -> str:
    return hashlib.sha256(base64.b64decode(key)).hexdigest()


def refuse_early_removal(evidence: dict, domains: dict, retention: int) -> None:
    for domain, plan in domains.items():
        for selector, entry in evidence.get(domain, {}).items():
            if "from" not in entry or selector in plan["published"]:
                continue
            until = entry.get("until", now())
            may_go = max(entry.get("keep", 0), until + entry.get("retention", retention))
            if may_go > now():
                raise Failure(
                    f"{selector} of {domain} signed until {utc(until)}, and its record has to stay until "
                    f"{utc(may_go)}: run `pulumi up` again after that, or set dkimGeneration back"
                )


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# ---- looking ----


def unseen(evidence: dict, keys: dict) -> set:
    """(domain, selector) of each key that is to be out, and was not yet."""
    return {
        (d, s) for d, selectors in keys.items() for s in selectors if "visible" not in evidence.get(d, {}).get(s, {})
    }


def look_for(evidence: dict, keys: dict, wanted: set) -> dict:
    """Notes since when each key of `wanted` is out; gives what was seen of each."""
    order = sorted(wanted)
    looks = look_at_all([(d, f"{s}._domainkey.{d}", "TXT", are_key(keys[d][s])) for d, s in order])
    for (domain, selector), seen in zip(order, looks, strict=True):
        entry = evidence.setdefault(domain, {}).setdefault(selector, {})
        if seen.missing is None:
            entry.setdefault("visible", now() + 1)
        elif seen.certain:
            entry.pop("visible", None)
    return dict(zip(order, looks, strict=True))


def forget_unwatched(evidence: dict, keys: dict) -> None:
    """What is not in the plan nobody looks at: it may be gone, and come back."""
    for domain, selectors in evidence.items():
        for selector in selectors.keys() - keys.get(domain, {}).keys():
            selectors[selector].pop("visible", None)


def may_sign(evidence: dict, domain: str, selector: str, seen: Look) -> tuple:
    """From when on, at the earliest, and why not before. For the first key of a new domain nobody has asked yet."""
    if seen.missing is not None:
        return time.time() + 1, seen.missing
    if not any("from" in entry for entry in evidence[domain].values()):
        return 0, None
    since = evidence[domain][selector]["visible"] + seen.negative_ttl
    return since, f"until {utc(since)} others may remember that it was not there"


def are_key(key: str):
    """Which of several records counts is undefined (RFC 6376, section 3.6.2.2)."""
    return lambda records: [public_key(record) for record in records] == [key]


def public_key(record) -> str:
    return re.sub(r"\s", "", tag(b"".join(record.strings).decode("ascii", "replace"), "p"))


def tag(text: str, name: str) -> str:
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value
    return ""


def wait_until_visible(evidence: dict, domains: dict, keys: dict) -> dict:
    """Gives why each domain that has no key which may sign must send unsigned, once that has been waited for a little."""
    signing = {domain: plan["signs"] for domain, plan in domains.items()}
    present = {domain: signers(evidence.get(domain, {})) for domain in signing}
    new = {(domain, selector) for domain, selector in signing.items() if present[domain] != {selector}}
    known = unsigned_domains()
    start = spoken = time.time()
    looks = look_for(evidence, keys, new | unseen(evidence, keys))
    while True:
        unsigned, waits, refused = {}, {}, {}
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
