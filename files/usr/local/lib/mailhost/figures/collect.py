"""What the timer does: new entries of the journal, and what only the daemons themselves know."""

import json
import time

from mailhost.deferred import LINE
from mailhost.failure import ERRORS
from mailhost.figures import journal, metrics, store
from mailhost.pauses import queue
from mailhost.specs import OWN_ACCOUNTS
from mailhost.system import run

#: Dovecot's own process looks into the mailboxes.
DOVEADM = "/run/dovecot/doveadm-server"


def collect() -> None:
    with store.opened() as figures:
        now = time.time()
        follower = journal.Follower(figures, journal.own_domains(), addresses())
        follower.read(journal.entries(follower.cursor))
        follower.end(now)
        note_queue(figures, now)
        hour = str(int(now // store.HOUR))
        if figures.get("collect.hour") != hour:
            figures.condense(now)
            try:
                note_storage(figures, now)
                figures.set("collect.hour", hour)
            except ERRORS as error:
                # Dovecot restarts, or does not run, which others report: the next run asks again.
                print(f"WARNING: no sizes of mailboxes: {error}")
        figures.set("collect.time", str(int(now)))
    metrics.publish()


def addresses() -> list[str]:
    """The host's own."""
    links = json.loads(run("ip", "-json", "address"))
    return [str(one["local"]) for link in links for one in link["addr_info"]]


def note_queue(figures: store.Store, now: float) -> None:
    since = [float(match["since"]) for line in queue() if (match := LINE.fullmatch(line))]
    oldest = max(0, now - min(since, default=now))
    figures.note_queue(now, len(since), oldest)
    figures.set("collect.queue", json.dumps([len(since), int(oldest)]))


def note_storage(figures: store.Store, now: float) -> None:
    found: dict[str, dict[str, int]] = {}
    for line in run("doveadm", "-f", "tab", "quota", "get", "-S", DOVEADM, "-A").splitlines()[1:]:
        account, _, kind, value, *_ = line.split("\t")
        found.setdefault(account, {})[kind] = int(value)
    for account, sizes in found.items():
        if account not in OWN_ACCOUNTS:
            figures.note_storage(now, account, sizes.get("STORAGE", 0) * 1024, sizes.get("MESSAGE", 0))
