"""Tells what on the host is not as the plan has it. It names files, and never tells what is in them."""

import glob
import hashlib
import os
import pathlib
import pwd
import subprocess
from collections.abc import Iterator

from mailhost import manifests
from mailhost import users as system_users
from mailhost.check import open_ports, public_ports, services
from mailhost.daemons import accounts, wanted
from mailhost.daemons.firewall import Firewall
from mailhost.files import live
from mailhost.prepare import installed_packages, mounts
from mailhost.system import is_active, succeeds

#: What is pushed besides the daemons.
SYSTEM = ("program", "system")


def drift() -> list[str]:
    return [*content(), *units(), *ports()]


def content() -> Iterator[str]:
    """What is neither a service nor a port, which the check names, too."""
    for part in (files, strange_files, packages, rules, users):
        yield from part()


def files() -> Iterator[str]:
    for name in [*SYSTEM, *(daemon.name for daemon in wanted())]:
        planned, owned = manifests.planned(name), manifests.owned(name)
        if owned and owned != planned:
            yield f"{name}: not the plan's configuration is in force, but an earlier one: mailhost history {name}"
        for path, file in planned.items():
            yield from (f"{name}: {path} {words}" for words in difference(path, file))
        for path in sorted({*owned} - {*planned}):
            yield f"{name}: {path} is not the plan's"


def difference(path: str, planned: manifests.Entry) -> Iterator[str]:
    there = live(path)
    if there is None:
        yield "is a link" if os.path.isfile(path) else "is missing"
        return
    if hashlib.sha256(there.octets()).hexdigest() != planned.sha256:
        yield "has another text"
    if there.mode != planned.mode:
        yield f"has mode {there.mode}, not {planned.mode}"
    if there.owner != planned.owner:
        yield f"belongs to {there.owner}, not {planned.owner}"


def strange_files() -> Iterator[str]:
    """In the folders that the daemons read: what neither the plan nor a package brought, or is not as its package has it."""
    planned = {path for name in [*SYSTEM, *(daemon.name for daemon in wanted())] for path in manifests.planned(name)}
    for daemon in wanted():
        drop_ins = [f"/etc/systemd/system/{daemon.unit}.service.d/*"] if daemon.unit else []
        for path in sorted(path for pattern in [*daemon.reads, *drop_ins] for path in glob.glob(pattern)):
            if path not in planned and not succeeds("dpkg-query", "--search", path):
                yield f"{daemon.name}: {path} is read too, and is not the plan's"
    # It ends with a status of its own where something differs.
    ours = sorted(listed_packages() & installed_packages())
    verified = subprocess.run(
        ["dpkg", "--verify", *ours], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    for line in verified:
        path = line.split()[-1]
        if path not in planned and path.startswith("/etc/"):
            yield f"{path} is not as its package has it"


def listed_packages() -> set[str]:
    return {*pathlib.Path("/etc/mailhost/packages").read_text().split()}


def packages() -> Iterator[str]:
    for name in sorted(listed_packages() - installed_packages()):
        yield f"the package {name} is not installed"


def units() -> Iterator[str]:
    yield from services()
    for unit in mounts():
        if not is_active(unit):
            yield f"{unit} is not mounted"


def rules() -> Iterator[str]:
    if not Firewall().is_in_force():
        yield "the kernel has other rules than /etc/nftables.conf: nft list table inet mailhost; systemctl reload nftables"


def ports() -> Iterator[str]:
    found, planned = open_ports(), public_ports()
    for port in sorted(planned - found):
        yield f"nothing listens on port {port}"
    for port in sorted(found - planned):
        yield f"something listens on port {port}, which is not the plan's: ss --listening --tcp --processes"


def users() -> Iterator[str]:
    present = {user.pw_name: user for user in pwd.getpwall()}
    for planned in system_users.planned():
        user = present.get(planned.name)
        if user is None:
            yield f"the user {planned.name} is missing"
        elif (user.pw_uid, user.pw_dir) != (planned.number, planned.home):
            yield (
                f"the user {planned.name} has number {user.pw_uid} and home {user.pw_dir}, "
                f"not {planned.number} and {planned.home}"
            )
    for name in sorted(set(accounts.planned()) - {*present}):
        yield f"the system user {name} is missing"
    for name, user in sorted(present.items()):
        can_log_in = os.path.basename(user.pw_shell) not in ("nologin", "false", "sync")
        if name != "root" and (user.pw_uid == 0 or (can_log_in and user.pw_uid >= 1000)):
            yield f"the user {name} can log in, and is not the plan's"
