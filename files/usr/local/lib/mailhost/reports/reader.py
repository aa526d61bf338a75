"""
Reads the mailbox of the reports, as a user that may see nothing else: mailhost-read-reports.service has its bounds.

A report becomes a document in `read`, which the host program takes from there. A message without a good one stays in
`refused` for 30 days. Each goes there before it is looked at: what ends this program is not read a second time.
"""

import hashlib
import json
import pathlib
import sys
from collections.abc import Iterator, Set

from mailhost.documents import plain
from mailhost.reports import message
from mailhost.reports.refusal import Refused
from mailhost.specs import PROBE, REPORTS

HOME = pathlib.Path("/srv/mailhost/home") / REPORTS.user
DOMAINS = pathlib.Path("/etc/smtpd/domains")
HOST_NAME = pathlib.Path("/etc/mailname")
#: Messages of one run. The next one is soon.
MOST = 500


def main() -> int:
    domains = frozenset(DOMAINS.read_text().split()) - {PROBE.domain}
    read_mailbox(HOME, HOST_NAME.read_text().strip(), domains)
    return 0


def read_mailbox(home: pathlib.Path, host_name: str, domains: Set[str]) -> None:
    for name in ("read", "refused"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    for path, _ in zip(messages(home / "mail"), range(MOST), strict=False):
        aside = path.rename(home / "refused" / path.name.partition(":")[0])
        try:
            if aside.stat().st_size > message.LARGEST:
                raise Refused(f"the message is larger than {message.LARGEST >> 20} MB")
            results = message.read(aside.read_bytes(), host_name=host_name, domains=domains)
        except Refused as refused:
            print(f"{aside.name} is refused: {refused}", flush=True)
            continue
        except (RecursionError, LookupError, ValueError, AssertionError) as error:
            # The parser of messages has met something that its authors did not think of.
            print(f"{aside.name} is refused: {type(error).__name__}", flush=True)
            continue
        for result in results:
            put(home / "read", result)
        aside.unlink()


def messages(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Of all folders: a report may have been filed as spam."""
    for folder in sorted(root.rglob("*")):
        if folder.name in ("new", "cur") and folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())


def put(folder: pathlib.Path, result: message.Result) -> None:
    """A report that comes again takes the place of the first."""
    text = json.dumps(result, default=plain)
    about = result.dmarc or result.tls
    name = hashlib.sha256(f"{result.reporter} {about.id if about else ''}".encode()).hexdigest()[:32]
    new = folder / f".{name}"
    new.write_text(text)
    new.rename(folder / f"{name}.json")


if __name__ == "__main__":
    sys.exit(main())
