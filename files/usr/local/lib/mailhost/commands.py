"""The commands of the host program. Each can be killed at any point and run again: it converges."""

import argparse
import json
import pathlib
import re
import sys
from typing import TypeVar

from mailhost import (
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
    standby,
    tlsa,
)
from mailhost.backup import alone, failures_told, make_snapshot
from mailhost.check import Mail, check
from mailhost.daemons import DAEMONS
from mailhost.daemons.amavis import Amavis
from mailhost.daemons.daemon import Service
from mailhost.documents import parsed, plain
from mailhost.drift import drift
from mailhost.export import export
from mailhost.failure import Failure
from mailhost.figures import metrics, summary
from mailhost.figures.collect import collect
from mailhost.files import Files, put_private
from mailhost.imports import job, lately
from mailhost.prepare import is_standby, prepare
from mailhost.purge import purge
from mailhost.records import Record, warn_of_records
from mailhost.reports import kept
from mailhost.system import HOST_LOCK, locked, run
from mailhost.transaction import activate, put_back, staged_path, unended

Kind = TypeVar("Kind")


def given(kind: type[Kind]) -> Kind:
    """The document on standard input."""
    return parsed(kind, sys.stdin.read(), "standard input")


def run_prepare(arguments: argparse.Namespace) -> None:
    prepare(given(Files), arguments.volume_device, arguments.standby)
    if not arguments.standby:
        standby.take_over()


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
    if is_standby():
        # The CA would look for the answers at the server that serves.
        print("a standby server asks for no certificate")
        return
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


def run_import_files(_arguments: argparse.Namespace) -> None:
    files = parsed(job.FilesJob, sys.stdin.buffer.readline().decode(), "standard input")
    job.run_files(files, sys.stdin.buffer, lambda line: print(line, flush=True))


def run_copies(_arguments: argparse.Namespace) -> None:
    print(json.dumps(lately.copies(), default=plain))


def run_export(arguments: argparse.Namespace) -> None:
    export(arguments.address, arguments.format, sys.stdout.buffer)


def run_export_accounts(arguments: argparse.Namespace) -> None:
    print(json.dumps(export_accounts.tables(arguments.domain), default=plain))


def run_check(arguments: argparse.Namespace) -> None:
    check(given(Mail))


def run_ready(_arguments: argparse.Namespace) -> None:
    standby.ready(given(Mail))


def run_yield(_arguments: argparse.Namespace) -> None:
    standby.give_up()


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
