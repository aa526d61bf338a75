"""certbot, which speaks to a CA by ACME (RFC 8555)."""

import pathlib
import subprocess

from mailhost.failure import Failure

#: certbot keeps the account in it. On the volume: the CA knows the host by it.
ROOT = pathlib.Path("/srv/mailhost/acme")

#: Seconds for one certificate.
TIMEOUT = 300


class Hanging(Failure):
    """The CA takes its time. Others that it is asked for would have to wait, too."""


def certbot(*arguments: str, directory: str) -> str:
    """Gives what it says; its words without the ornaments are the failure's."""
    result = subprocess.run(
        ["timeout", str(TIMEOUT), "certbot", *arguments, "--non-interactive", "--server", directory,
         "--config-dir", str(ROOT), "--max-log-backups", "20"],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if result.returncode == 0:
        return result.stdout
    ornaments = (
        "Saving debug log",
        "Ask for help",
        "An unexpected error occurred",
        "Requesting a certificate",
        "Some challenges have failed",
    )
    lines = [line.strip() for line in (result.stdout + "\n" + result.stderr).splitlines()]
    words = " ".join(line for line in lines if line and not line.startswith(ornaments))
    if result.returncode == 124:
        raise Hanging(f"no end after {TIMEOUT} s {words}")
    raise Failure(words)


def registration(contact: str) -> tuple[str, ...]:
    return "--agree-tos", "--no-eff-email", "--email", contact
