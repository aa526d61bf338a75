"""Mail from the host to its postmaster."""

import email.message
import email.utils
import os
import subprocess

from mailhost.failure import Failure
from mailhost.system import host_name


def notify_postmaster(subject: str, text: str) -> None:
    """Raises Failure or OSError if OpenSMTPD does not take the message, as while an operator has paused its reception."""
    message = email.message.EmailMessage()
    message["From"] = f"postmaster@{host_name()}"
    message["To"] = "root"
    message["Subject"] = subject
    message["Date"] = email.utils.localtime()
    # No automatic answer (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    command = ("/usr/sbin/sendmail", "-f", "", "root")
    result = subprocess.run(command, input=message.as_bytes(), capture_output=True, check=False)
    # EX_TEMPFAIL: OpenSMTPD does not run, and sends it once it does (enqueue.c).
    if result.returncode not in (0, os.EX_TEMPFAIL):
        raise Failure(f"sendmail failed: {result.stderr.decode(errors='replace').strip()}")
