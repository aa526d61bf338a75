"""The commands of the host program. Each can be killed at any point and run again: it converges."""

import argparse
import json
import pathlib
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from mailhost import (
    __version__,
    acme,
    daily,
    dkim,
    doctor,
    export_accounts,
    failures,
    folders,
    history,
    pauses,
    restic,
    restore,
    tlsa,
)
from mailhost.backup import alone, failures_told, make_snapshot
from mailhost.check import Mail, check
from mailhost.daemons import DAEMONS, host_alone
from mailhost.daemons.amavis import Amavis
from mailhost.daemons.daemon import Service
from mailhost.documents import parsed, plain
from mailhost.drift import drift
from mailhost.export import FORMATS, export
from mailhost.failure import ERRORS, Failure
from mailhost.figures import metrics, summary
from mailhost.figures.collect import collect
from mailhost.files import Files, put_private
from mailhost.imports import job
from mailhost.prepare import prepare
from mailhost.purge import purge
from mailhost.records import Record, warn_of_records
from mailhost.reports import kept
from mailhost.system import HOST_LOCK, locked, run
from mailhost.transaction import activate, put_back, staged_path, unended

Kind = TypeVar("Kind")

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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], description: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=description)
        added.set_defaults(run=run)
        return added

    files = "files as JSON on standard input"
    preparation = command("prepare", run_prepare, f"make the system ready; {files}")
    preparation.add_argument("--volume-device", help="for mail and queue; default: what is at /srv/mailhost")
    preparation.add_argument("--volume-size", help="GB; so that a volume that has grown is prepared again")
    preparation.add_argument("--program", help="its hash; so that what a new program prepares is prepared")
    preparation.add_argument("--change", help=CHANGE)
    staging = command("stage", run_stage, f"keep the secret files of a daemon; {files}")
    staging.add_argument("daemon", choices=DAEMONS)
    staging.add_argument("--tag", required=True, help="what `activate` asks for them by")
    activation = command("activate", run_activate, f"put a daemon's files in force; {files}")
    activation.add_argument("daemon", choices=DAEMONS)
    activation.add_argument("--secrets", help="the tag of the staged secret files that belong to them")
    activation.add_argument("--change", help=CHANGE)
    command("restart", run_restart, "restart a daemon, with no mail held back or doubled").add_argument(
        "daemon", choices=[name for name, daemon in DAEMONS.items() if isinstance(daemon, Service)]
    )
    command("history", run_history, "list the configurations that daemons ran well with").add_argument(
        "daemon", nargs="?", choices=DAEMONS
    )
    back = command("rollback", run_rollback, "put an earlier configuration of a daemon in force again")
    back.add_argument("daemon", choices=DAEMONS)
    back.add_argument("number", nargs="?", type=int, default=1, help="as `mailhost history` tells it; default: 1")
    command("undo", run_undo, "put back the files of pushes that were cut off; before the daemons start")
    command("drift", run_drift, "tell what on this host is not as the plan has it").add_argument(
        "--accepted", default="/etc/mailhost/drift-accepted", help="a file with what may differ, a line for each"
    )
    command("sign", run_sign, "look which DKIM and TLSA records are out, and sign for domains whose are now")
    command("release", run_release, "deliver a message that was held").add_argument(
        "id", help="its name in /srv/mailhost/quarantine, as the notice to root says"
    )
    command("check", run_check, "tell whether mail works; settings as JSON on standard input").add_argument(
        "state", nargs="*", help="fingerprints of what was pushed; so that a change runs the check again"
    )
    command(
        "doctor", run_doctor, "write what is wrong as JSON, for `mailhost doctor` of the operator; input as of check"
    )
    command("collect", run_collect, "add what is new to the figures about mail; a timer runs it")
    command("figures", run_figures, "write the figures about mail as JSON, for `mailhost report` of the operator")
    command("metrics", run_metrics, "write the figures about mail as Prometheus reads them")
    command("records", run_records, "warn of records that are not in DNS; records as JSON on standard input")
    command("backup", run_backup, "back up now")
    command("snapshots", run_snapshots, "list the backups")
    restoring = command("restore", run_restore, "bring back what a backup has; writes over nothing")
    restoring.add_argument("what", help="the address of an account, all (accounts), queue, or volume (an empty one)")
    restoring.add_argument(
        "messages", nargs="*", help="of the queue: the messages to put into it again; lists them without"
    )
    restoring.add_argument("--snapshot", default="latest", help="as mailhost snapshots lists it")
    restoring.add_argument("--folder", help="of the account: one folder, e.g. INBOX or Archive/2024")
    restoring.add_argument("--message-id", help="of the account: one message")
    renewal = command("renew", run_renew, "ask the CA for each certificate that is due, and serve it")
    renewal.add_argument("certificate", nargs="*", help="ask for it now, due or not: the host name, or a domain")
    renewal.add_argument("--state", help="fingerprints of what was pushed; so that a change asks again; of an `up`")
    account = command("account", run_account, "make the account at the CA, and tell of it as JSON")
    account.add_argument("--directory", required=True)
    account.add_argument("--contact", required=True)
    command("failures", run_failures, "note the units that failed, and mail the postmaster what is new")
    command("daily", run_daily, "mail the postmaster what is wrong since yesterday, and what no longer is")
    command("reports", run_reports, "add what was read of reports on DMARC and TLS to the figures")
    command("pauses", run_pauses, "what an operator has paused in OpenSMTPD, across a restart of it").add_argument(
        "what", choices=("keep", "restore")
    )
    command("import", run_import, "copy mailboxes of other hosts; a job as JSON on standard input")
    exporting = command("export", run_export, "write the mail and scripts of an account to standard output, as tar")
    exporting.add_argument("address")
    exporting.add_argument("--format", choices=FORMATS, default="maildir")
    command(
        "export-accounts", run_export_accounts, "write accounts, with password hashes, and aliases of a domain, as JSON"
    ).add_argument("domain")
    command("purge", run_purge, "delete the mail of an account that is no more").add_argument("address")
    return parser.parse_args()


def given(kind: type[Kind]) -> Kind:
    """The document on standard input."""
    return parsed(kind, sys.stdin.read(), "standard input")


def run_prepare(arguments: argparse.Namespace) -> None:
    prepare(given(Files), arguments.volume_device)


def run_stage(arguments: argparse.Namespace) -> None:
    text = sys.stdin.read()
    parsed(Files, text, "standard input")
    put_private(staged_path(arguments.daemon, arguments.tag), text)


def run_activate(arguments: argparse.Namespace) -> None:
    files = given(Files)
    if arguments.secrets is not None:
        path = staged_path(arguments.daemon, arguments.secrets)
        if not path.exists():
            raise Failure(
                f"the secrets staged for {arguments.daemon} are not the ones of this change: "
                "replace the resource that stages them, by its URN (pulumi stack --show-urns), with `pulumi up --replace`"
            )
        files |= parsed(Files, path.read_text(), str(path))
    daemon = DAEMONS[arguments.daemon]
    print(activate(daemon, daemon.completed(files), secrets=arguments.secrets))


def run_history(arguments: argparse.Namespace) -> None:
    for name in [arguments.daemon] if arguments.daemon else DAEMONS:
        if history.entries(name):
            history.tell(name)


def run_rollback(arguments: argparse.Namespace) -> None:
    name = arguments.daemon
    past = history.entries(name)
    if not 0 < arguments.number < len(past):
        raise Failure(f"there is no configuration {arguments.number} of {name} to go back to: mailhost history {name}")
    entry = past[arguments.number]
    time = history.when(entry)
    print(activate(DAEMONS[name], history.read(entry), of_plan=False))
    print(
        f"{name} has the configuration of {time} again. The next `pulumi up` that changes {name} brings the plan's; "
        "until then `mailhost drift` tells the difference"
    )


def run_undo(_arguments: argparse.Namespace) -> None:
    with locked(HOST_LOCK):
        cut_off = unended(DAEMONS.values())
        for daemon in cut_off:
            put_back(daemon)
            print(f"{daemon.name}: its files from before are back")
            if daemon.name == "dovecot":
                folders.convert()
        if cut_off:
            run("systemctl", "daemon-reload")


def run_drift(arguments: argparse.Namespace) -> None:
    accepted = pathlib.Path(arguments.accepted).read_text().splitlines()
    differences = [difference for difference in drift() if difference not in accepted]
    if differences:
        lines = "\n".join(f"- {difference}" for difference in differences)
        raise Failure(
            f"this host is not as the plan has it:\n{lines}\n"
            "`pulumi up` with the setting drift=mend puts right what is the plan's. Remove by hand what is not, or put it "
            "into the setting driftAccepted, in these words"
        )
    print("this host is as the plan has it")


def run_restart(arguments: argparse.Namespace) -> None:
    daemon = DAEMONS[arguments.daemon]
    if isinstance(daemon, Service) and daemon.is_running():
        daemon.restart_service()
    else:
        print(f"{daemon.unit} does not run, and is not started: systemctl start {daemon.unit}")


def run_failures(_arguments: argparse.Namespace) -> None:
    failures.report()


def run_daily(_arguments: argparse.Namespace) -> None:
    daily.report()


def run_reports(_arguments: argparse.Namespace) -> None:
    kept.take()


def run_pauses(arguments: argparse.Namespace) -> None:
    {"keep": pauses.keep, "restore": pauses.restore}[arguments.what]()


def run_sign(arguments: argparse.Namespace) -> None:
    if dkim.newly_visible():
        Amavis().restart_service()
        dkim.RESTART.unlink()
    tlsa.note()


def run_release(arguments: argparse.Namespace) -> None:
    path = pathlib.Path("/srv/mailhost/quarantine", arguments.id)
    if not re.fullmatch(r"[A-Za-z0-9_+-]+", arguments.id) or not path.is_file():
        raise Failure(f"no message {arguments.id} is held: ls {path.parent}")
    # It fails without a word of that in its exit status.
    answer = run("sh", "-c", 'amavisd-release "$1" 2>&1', "sh", arguments.id).strip()
    if not answer.startswith("250 "):
        raise Failure(f"{arguments.id} is not released: {answer}")
    print(answer)


def run_backup(arguments: argparse.Namespace) -> None:
    # Where there are no backups, none has failed.
    restic.settings()
    with alone(), failures_told():
        restore.check_ended()
        print(make_snapshot())


def run_snapshots(arguments: argparse.Namespace) -> None:
    restic.show_snapshots()


def run_restore(arguments: argparse.Namespace) -> None:
    with alone():
        restic.unlock()
        newest = restic.latest() if arguments.snapshot == "latest" else None
        snapshot = newest.id if newest else arguments.snapshot
        match arguments.what:
            case "volume":
                restore.restore_volume(snapshot)
            case "all":
                restore.restore_all(snapshot)
            case "queue":
                restore.restore_queue(arguments.messages, snapshot)
            case address:
                restore.restore_account(address, snapshot, arguments.folder, arguments.message_id)


def run_renew(arguments: argparse.Namespace) -> None:
    acme.renew(arguments.certificate, of_up=arguments.state is not None)


def run_account(arguments: argparse.Namespace) -> None:
    try:
        account = acme.account(arguments.directory, arguments.contact)
    except (Failure, OSError) as failure:
        # No reason to stop an `up`: the first order makes the account.
        print(f"WARNING: no account at the CA yet: {failure}", file=sys.stderr)
        account = acme.Account()
    print(json.dumps(account, default=plain))


def run_purge(arguments: argparse.Namespace) -> None:
    print(purge(arguments.address))


def run_import(_arguments: argparse.Namespace) -> None:
    job.run(given(job.Job), lambda line: print(line, flush=True))


def run_export(arguments: argparse.Namespace) -> None:
    export(arguments.address, arguments.format, sys.stdout.buffer)


def run_export_accounts(arguments: argparse.Namespace) -> None:
    print(json.dumps(export_accounts.tables(arguments.domain), default=plain))


def run_check(arguments: argparse.Namespace) -> None:
    check(given(Mail))


def run_doctor(_arguments: argparse.Namespace) -> None:
    print(json.dumps(doctor.examine(given(Mail)), default=plain))


def run_collect(_arguments: argparse.Namespace) -> None:
    collect()


def run_figures(_arguments: argparse.Namespace) -> None:
    print(json.dumps(summary.today(), default=plain))


def run_metrics(_arguments: argparse.Namespace) -> None:
    print(metrics.text(), end="")


def run_records(_arguments: argparse.Namespace) -> None:
    warn_of_records(given(tuple[Record, ...]))


#: A push need not wait for these, which may last; what waits for a CA takes the lock where it needs it. OpenSMTPD's unit
#: runs one of them during a push.
WITHOUT_LOCK = (
    run_doctor,
    run_undo,
    run_backup,
    run_snapshots,
    run_restore,
    run_export,
    run_export_accounts,
    run_renew,
    run_account,
    run_collect,
    run_failures,
    run_daily,
    run_figures,
    run_metrics,
    run_reports,
    run_pauses,
    run_import,
)
