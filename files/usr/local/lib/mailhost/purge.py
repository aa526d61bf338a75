"""Deletes what an account that is no more has left on the host."""

import re
import shutil
from pathlib import Path

from mailhost.failure import Failure

# passwd-file(5) of virtual accounts, and the list of system users: an account is what stands in one of them.
ACCOUNTS = ("/etc/dovecot/users", "/etc/mailhost/system-users")
MAIL = Path("/srv/mailhost/mail")
HOMES = Path("/srv/mailhost/home")


def purge(address: str) -> str:
    # Names only, so that no path leads out of the folders of mail.
    match = re.fullmatch(r"([a-z0-9][a-z0-9._-]*)@([a-z0-9][a-z0-9.-]*)", address)
    if match is None:
        raise Failure(f"{address!r} is no address of an account")
    local, domain = match.groups()
    for path in map(Path, ACCOUNTS):
        names = {line.split(":")[0] for line in path.read_text().splitlines()} if path.exists() else set()
        if address in names or local in names:
            raise Failure(f"{address} is an account: take it out of the settings first")
    # A system user's name is its local part, whatever its domain: only where there is no mailbox of the whole address.
    for folder in (MAIL / domain / local, HOMES / local):
        if folder.is_dir():
            shutil.rmtree(folder)
            return f"deleted {folder}"
    raise Failure(f"{address} has left nothing on this host")
