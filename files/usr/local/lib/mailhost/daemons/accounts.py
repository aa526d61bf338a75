"""Accounts as system users: their homes lie on the volume, they have no shell, and are known by their group."""

import os
import pathlib
import pwd
import re
from collections.abc import Iterable

from mailhost.daemons.daemon import Daemon
from mailhost.failure import Failure
from mailhost.files import Files
from mailhost.manifests import Manifest
from mailhost.system import run, succeeds
from mailhost.transaction import Staged

GROUP = "mailusers"
HOMES = "/srv/mailhost/home"
NAMES = pathlib.Path("/etc/mailhost/system-users")
HASHES = pathlib.Path("/etc/mailhost/system-users.shadow")


class Accounts(Daemon):
    name = "accounts"

    def check(self, files: Files, staged: Staged, owned: Manifest) -> None:
        for name in files[str(NAMES)].text.split():
            if not re.fullmatch(r"[a-z][a-z0-9._-]{0,30}", name):
                raise Failure(f"{name} is no name for a system user")
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            if user.pw_dir != f"{HOMES}/{name}":
                raise Failure(f"{name} is a user of the system already: give the account another address")

    def is_ready(self) -> bool:
        return super().is_ready() and {*planned()} <= present()

    def restart(self, changed: list[str]) -> None:
        wanted = set(NAMES.read_text().split())
        if not succeeds("getent", "group", GROUP):
            run("groupadd", GROUP)
        for name in sorted(wanted - present()):
            create(name)
        run("chpasswd", "--encrypted", stdin=HASHES.read_text())
        close(present() - wanted)

    def stop(self) -> None:
        close(present())


def planned() -> list[str]:
    return NAMES.read_text().split() if NAMES.exists() else []


def present() -> set[str]:
    return {user.pw_name for user in pwd.getpwall() if user.pw_dir.startswith(f"{HOMES}/")}


def create(name: str) -> None:
    home = f"{HOMES}/{name}"
    # A home that came with the volume says whose it is. vmail's group may tell spamd what was spam.
    number = os.stat(home).st_uid if os.path.isdir(home) else free_number()
    run("useradd", "--uid", str(number), "--create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin",
        "--groups", f"{GROUP},vmail", name)  # fmt: skip


def free_number() -> int:
    """Above every user of the system, and every owner of a home that waits for its user."""
    taken = {user.pw_uid for user in pwd.getpwall() if 1000 <= user.pw_uid < 60000}
    taken |= {os.stat(home).st_uid for home in pathlib.Path(HOMES).iterdir()}
    return max(taken | {999}) + 1


def close(names: Iterable[str]) -> None:
    """The mail stays; only the way in is closed."""
    for name in sorted(names):
        run("usermod", "--password", "!", name)
