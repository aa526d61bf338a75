"""The system users that files on the volume belong to."""

import dataclasses
import grp
import pathlib
import pwd

from mailhost.failure import Failure
from mailhost.system import run

#: See sysusers.d(5).
CONFIGURATION = pathlib.Path("/etc/sysusers.d/mailhost.conf")


@dataclasses.dataclass(frozen=True)
class User:
    name: str
    #: Of its group, too.
    number: int
    home: str


def planned() -> list[User]:
    lines = [line.split() for line in CONFIGURATION.read_text().splitlines()]
    return [User(line[1], int(line[2]), line[4]) for line in lines if line[:1] == ["u"]]


def create() -> None:
    """Raises Failure where another has the number of one that is missing: systemd-sysusers would give it another one."""
    present = {user.pw_name for user in pwd.getpwall()}
    holders = [
        *((user.pw_uid, user.pw_name) for user in pwd.getpwall()),
        *((group.gr_gid, group.gr_name) for group in grp.getgrall()),
    ]
    missing = {user.number: user.name for user in planned() if user.name not in present}
    taken = sorted({f"{number} ({name})" for number, name in holders if missing.get(number, name) != name})
    if taken:
        raise Failure(
            f"numbers that users of the mail host need belong to others: {', '.join(taken)}. Give these another number: "
            "usermod --uid, groupmod --gid"
        )
    run("systemd-sysusers", str(CONFIGURATION))
