"""Accounts as system users: their homes lie on the volume, they have no shell, and are known by their group."""

import os
import pathlib
import pwd
import re

from mailhost.failure import Failure
from mailhost.system import run, succeeds

GROUP = "mailusers"
HOMES = "/srv/mailhost/home"
NAMES = pathlib.Path("/etc/mailhost/system-users")
HASHES = pathlib.Path("/etc/mailhost/system-users.shadow")


def check(files: dict) -> None:
    for name in files[str(NAMES)]["text"].split():
        if not re.fullmatch(r"[a-z][a-z0-9._-]{0,30}", name):
            raise Failure(f"{name} is no name for a system user")
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_dir != f"{HOMES}/{name}":
            raise Failure(f"{name} is a user of the system already: give the account another address")


def planned() -> list:
    return NAMES.read_text().split() if NAMES.exists() else []


def free_number() -> int:
    """Above every user of the system, and every owner of a home that waits for its user."""
    taken = {user.pw_uid for user in pwd.getpwall() if 1000 <= user.pw_uid < 60000}
    taken |= {os.stat(home).st_uid for home in pathlib.Path(HOMES).iterdir()}
    return max(taken | {999}) + 1


def apply() -> None:
    wanted = set(NAMES.read_text().split())
    if not succeeds("getent", "group", GROUP):
        run("groupadd", GROUP)
    for name in sorted(wanted - present()):
        home = f"{HOMES}/{name}"
        # A home that came with the volume says whose it is. vmail's group may tell spamd what was spam.
        number = ["--uid", str(os.stat(home).st_uid)] if os.path.isdir(home) else ["--uid", str(free_number())]
        run("useradd", *number, "--create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin",
            "--groups", f"{GROUP},vmail", name)  # fmt: skip
    run("chpasswd", "--encrypted", stdin=HASHES.read_text())
    close(present() - wanted)


def present() -> set:
    return {user.pw_name for user in pwd.getpwall() if user.pw_dir.startswith(f"{HOMES}/")}


def close(names: set) -> None:
    """The mail stays; only the way in is closed."""
    for name in sorted(names):
        run("usermod", "--password", "!", name)
