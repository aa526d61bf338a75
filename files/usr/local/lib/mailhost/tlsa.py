"""Says when a TLS key may be served: once nobody can remember TLSA records (RFC 6698) without it."""

import base64
import hashlib
import json
import pathlib
import re
import time

from mailhost.failure import Failure
from mailhost.files import File, Files, put
from mailhost.system import run
from mailhost.visibility import common_answers

#: Since when all name servers answer with a record, by its text; on the volume, so that a new server knows it.
EVIDENCE = pathlib.Path("/srv/mailhost/tlsa.json")
#: The name of the host's records, where it has some, and a line for each that the plan publishes.
SETTINGS = "/etc/mailhost/tlsa"
KEY = "/etc/ssl/mailhost/privkey.pem"
#: Seconds to wait in an `up`.
PATIENCE = 300
#: Seconds after which name servers are asked again that did not answer.
PAUSE = 5


def check(files: Files) -> None:
    """Raises Failure where others hold TLSA records without the key, or will by this plan, or may do so."""
    if SETTINGS not in files:
        return
    name, *planned = files[SETTINGS].text.splitlines()
    wanted = record_of(files[KEY].text)
    if wanted not in planned:
        raise Failure(
            f"this plan removes the TLSA record of the key that is still served: TLSA {wanted}. Set tlsGeneration back, "
            "and go on once the host has a certificate for the key of that generation: mailhost renew"
        )
    served = pathlib.Path(KEY)
    if not served.exists() or wanted == record_of(served.read_text()):
        return
    answered = time.time()
    while True:
        try:
            ttls, since = look(name)
            answered = time.time()
        except Failure as failure:
            # It may be a packet that was lost.
            if time.time() >= answered + PATIENCE:
                raise
            print(f"asking again: {failure}", flush=True)
            time.sleep(PAUSE)
            continue
        # Nobody goes by records that are not there.
        if not ttls:
            return
        if wanted not in ttls:
            raise Failure(
                f"{name} has no TLSA record of the new key yet: TLSA {wanted}. Run `pulumi up` again once it has"
            )
        until = since[wanted] + ttls[wanted]
        rest = until - time.time()
        if rest <= 0:
            return
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
        if rest > PATIENCE + 1:
            raise Failure(
                f"others may remember TLSA records of {name} without the new key until {when}: run `pulumi up` again then"
            )
        print(f"waiting until {when}: others may remember TLSA records without the new key", flush=True)
        time.sleep(min(rest, 60))


def note() -> None:
    """Looks which records are out, so that it is known early since when."""
    settings = pathlib.Path(SETTINGS)
    if not settings.exists():
        return
    try:
        look(settings.read_text().split()[0])
    except Failure as failure:
        print(f"WARNING: {failure}")


def look(name: str) -> tuple[dict[str, int], dict[str, int]]:
    """The TTL of each record that is out, and since when it is."""
    ttls = common_answers(name.split(".", 2)[2], name, "TLSA")
    before: dict[str, int] = json.loads(EVIDENCE.read_text()) if EVIDENCE.exists() else {}
    now = int(time.time()) + 1
    # None since a time to come: the clock was ahead.
    since = {text: min(before.get(text, now), now) for text in ttls}
    if since != before:
        put(str(EVIDENCE), File("0644", "root:root", f"{json.dumps(since, indent=1)}\n"))
    return ttls, since


def record_of(key: str) -> str:
    """What is published of a private key: the SHA-256 of its SubjectPublicKeyInfo."""
    pem = run("openssl", "pkey", "-pubout", stdin=key)
    return f"3 1 1 {hashlib.sha256(base64.b64decode(re.sub('-----.*', '', pem))).hexdigest()}"
