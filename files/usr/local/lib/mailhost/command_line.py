"""The command line of the host program."""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType

from mailhost import __version__, commands
from mailhost.daemons import DAEMONS, host_alone
from mailhost.daemons.daemon import Service
from mailhost.export import FORMATS
from mailhost.failure import ERRORS, Failure

CHANGE = "its number; so that one that was cut off and taken back is made again"


def main() -> int:
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        if arguments.run in WITHOUT_LOCK:
            arguments.run(arguments)
            return 0
        with host_alone():
            arguments.run(arguments)
        return 0
    except ERRORS as failure:
        kind = "" if isinstance(failure, Failure) else f"{type(failure).__name__}: "
        print(f"mailhost: {kind}{failure}", file=sys.stderr)
        return 1


def end(number: int, _frame: FrameType | None) -> None:
    """As an error does, so that nothing is left half-way; once."""
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mailhost")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    added_commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], description: str) -> argparse.ArgumentParser:
        added = added_commands.add_parser(name, help=description)
        added.set_defaults(run=run)
        return added

    files = "files as JSON on standard input"
    preparation = command("prepare", commands.run_prepare, f"make the system ready; {files}")
    preparation.add_argument("--volume-device", help="for mail and queue; default: what is at /srv/mailhost")
    preparation.add_argument("--standby", action="store_true", help="without the volume, beside the server that has it")
    preparation.add_argument("--volume-size", help="GB; so that a volume that has grown is prepared again")
    preparation.add_argument("--program", help="its hash; so that what a new program prepares is prepared")
    preparation.add_argument("--change", help=CHANGE)
    staging = command("stage", commands.run_stage, f"keep the secret files of a daemon; {files}")
    staging.add_argument("daemon", choices=DAEMONS)
    staging.add_argument("--tag", required=True, help="what `activate` asks for them by")
    activation = command("activate", commands.run_activate, f"put a daemon's files in force; {files}")
    activation.add_argument("daemon", choices=DAEMONS)
    activation.add_argument("--secrets", help="the tag of the staged secret files that belong to them")
    activation.add_argument("--change", help=CHANGE)
    command("restart", commands.run_restart, "restart a daemon, with no mail held back or doubled").add_argument(
        "daemon", choices=[name for name, daemon in DAEMONS.items() if isinstance(daemon, Service)]
    )
    command("history", commands.run_history, "list the configurations that daemons ran well with").add_argument(
        "daemon", nargs="?", choices=DAEMONS
    )
    back = command("rollback", commands.run_rollback, "put an earlier configuration of a daemon in force again")
    back.add_argument("daemon", choices=DAEMONS)
    back.add_argument("number", nargs="?", type=int, default=1, help="as `mailhost history` tells it; default: 1")
    command("undo", commands.run_undo, "put back the files of pushes that were cut off; before the daemons start")
    command("drift", commands.run_drift, "tell what on this host is not as the plan has it").add_argument(
        "--accepted", default="/etc/mailhost/drift-accepted", help="a file with what may differ, a line for each"
    )
    command("sign", commands.run_sign, "look which DKIM and TLSA records are out, and sign for domains whose are now")
    command("release", commands.run_release, "deliver a message that was held").add_argument(
        "id", help="its name in /srv/mailhost/quarantine, as the notice to root says"
    )
    command("check", commands.run_check, "tell whether mail works; settings as JSON on standard input").add_argument(
        "state", nargs="*", help="fingerprints of what was pushed; so that a change runs the check again"
    )
    command(
        "doctor",
        commands.run_doctor,
        "write what is wrong as JSON, for `mailhost doctor` of the operator; input as of check",
    )
    command(
        "ready", commands.run_ready, "check this standby server, and have it wait for the volume; input as of check"
    )
    command("yield", commands.run_yield, "stop serving mail, and let go of the volume, for another server")
    command("collect", commands.run_collect, "add what is new to the figures about mail; a timer runs it")
    command(
        "figures", commands.run_figures, "write the figures about mail as JSON, for `mailhost report` of the operator"
    )
    command("metrics", commands.run_metrics, "write the figures about mail as Prometheus reads them")
    command("records", commands.run_records, "warn of records that are not in DNS; records as JSON on standard input")
    command("backup", commands.run_backup, "back up now")
    command("snapshots", commands.run_snapshots, "list the backups")
    restoring = command("restore", commands.run_restore, "bring back what a backup has; writes over nothing")
    restoring.add_argument("what", help="the address of an account, all (accounts), queue, or volume (an empty one)")
    restoring.add_argument(
        "messages", nargs="*", help="of the queue: the messages to put into it again; lists them without"
    )
    restoring.add_argument("--snapshot", default="latest", help="as mailhost snapshots lists it")
    restoring.add_argument("--folder", help="of the account: one folder, e.g. INBOX or Archive/2024")
    restoring.add_argument("--message-id", help="of the account: one message")
    renewal = command("renew", commands.run_renew, "ask the CA for each certificate that is due, and serve it")
    renewal.add_argument("certificate", nargs="*", help="ask for it now, due or not: the host name, or a domain")
    renewal.add_argument("--state", help="fingerprints of what was pushed; so that a change asks again; of an `up`")
    account = command("account", commands.run_account, "make the account at the CA, and tell of it as JSON")
    account.add_argument("--directory", required=True)
    account.add_argument("--contact", required=True)
    command("failures", commands.run_failures, "note the units that failed, and mail the postmaster what is new")
    command("daily", commands.run_daily, "mail the postmaster what is wrong since yesterday, and what no longer is")
    command("reports", commands.run_reports, "add what was read of reports on DMARC and TLS to the figures")
    command(
        "pauses", commands.run_pauses, "what an operator has paused in OpenSMTPD, across a restart of it"
    ).add_argument("what", choices=("keep", "restore"))
    command("import", commands.run_import, "copy mailboxes of other hosts; a job as JSON on standard input")
    command(
        "import-files",
        commands.run_import_files,
        "copy mailboxes of a tar; on standard input a job as JSON in one line, then the tar",
    )
    command("copies", commands.run_copies, "write as JSON when accounts were copied from other hosts last")
    exporting = command(
        "export", commands.run_export, "write the mail and scripts of an account to standard output, as tar"
    )
    exporting.add_argument("address")
    exporting.add_argument("--format", choices=FORMATS, default="maildir")
    command(
        "export-accounts",
        commands.run_export_accounts,
        "write accounts, with password hashes, and aliases of a domain, as JSON",
    ).add_argument("domain")
    command("purge", commands.run_purge, "delete the mail of an account that is no more").add_argument("address")
    return parser.parse_args()


#: A push need not wait for these, which may last; what waits for a CA takes the lock where it needs it. OpenSMTPD's unit
#: runs one of them during a push.
WITHOUT_LOCK = (
    commands.run_doctor,
    commands.run_undo,
    commands.run_backup,
    commands.run_snapshots,
    commands.run_restore,
    commands.run_export,
    commands.run_export_accounts,
    commands.run_renew,
    commands.run_account,
    commands.run_collect,
    commands.run_failures,
    commands.run_daily,
    commands.run_figures,
    commands.run_metrics,
    commands.run_reports,
    commands.run_pauses,
    commands.run_import,
    commands.run_import_files,
    commands.run_copies,
)
