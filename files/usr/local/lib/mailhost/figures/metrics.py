"""
The figures as Prometheus reads them, in its text format.

https://prometheus.io/docs/instrumenting/exposition_formats/ and …/practices/naming/
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from mailhost import __version__
from mailhost.figures import store, summary

#: Upper bounds of the histograms, as numbers of the store's buckets: 0.1 s to 28 h.
BOUNDS = range(16, 114, 8)
#: See tmpfiles.d(5); it is there with the setting `metrics`.
FOLDERS = pathlib.Path("/etc/tmpfiles.d/mailhost-metrics.conf")
#: What nginx serves to `adminNetworks`.
PAGE = pathlib.Path("/run/mailhost-metrics/metrics")

Labels = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Family:
    name: str
    #: `counter`, `gauge` or `histogram`.
    type: str
    help: str
    #: Each with the end of its name.
    samples: Iterable[tuple[str, Labels, float]]


def text() -> str:
    with store.opened() as figures:
        return "".join(lines(families(figures)))


def publish() -> None:
    if not FOLDERS.exists():
        PAGE.unlink(missing_ok=True)
        return
    new = PAGE.with_suffix(".new")
    new.write_text(text())
    new.replace(PAGE)


def lines(all_families: Iterable[Family]) -> Iterator[str]:
    for family in all_families:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
        for end, labels, value in family.samples:
            pairs = ",".join(f'{name}="{escaped(content)}"' for name, content in labels.items())
            yield f"{family.name}{end}{f'{{{pairs}}}' if pairs else ''} {value:.15g}\n"


def escaped(content: str) -> str:
    return content.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def families(figures: store.Store) -> Iterator[Family]:
    read = figures.database.execute

    def sums(names: str, table: str, number: str = "number") -> list[tuple[str, Labels, float]]:
        columns = names.split()
        listed = ", ".join(columns)
        rows = read(f"SELECT {listed}, sum({number}) FROM {table} GROUP BY {listed} ORDER BY {listed}")
        return [("", dict(zip(columns, words, strict=True)), value) for *words, value in rows]

    yield Family("mailhost_info", "gauge", "The host program.", [("", {"version": __version__}, 1)])
    yield Family(
        "mailhost_mail_recipients_total", "counter", "Recipients of mail, by own domain and outcome.",
        sums("domain outcome", "mail"),
    )  # fmt: skip
    yield Family(
        "mailhost_logins_total",
        "counter",
        "Logins of mail clients, and bans, by outcome.",
        sums("service outcome", "logins"),
    )
    for name, words, kinds in (
        (
            "mailhost_delivery_duration_seconds",
            "From the arrival of a message to its delivery.",
            {"in": "in", "out": "out"},
        ),
        ("mailhost_scan_duration_seconds", "Scans of messages by amavis.", {"scan": ""}),
    ):
        yield Family(
            name, "histogram", words, [one for what, label in kinds.items() for one in histogram(figures, what, label)]
        )
    waiting, oldest = json.loads(figures.get("collect.queue") or "[0, 0]")
    yield Family("mailhost_queue_envelopes", "gauge", "Envelopes that wait in the queue.", [("", {}, waiting)])
    yield Family("mailhost_queue_oldest_age_seconds", "gauge", "Age of the oldest of them.", [("", {}, oldest)])
    latest = [*read("SELECT account, octets, messages FROM storage WHERE day = (SELECT max(day) FROM storage)")]
    yield Family(
        "mailhost_account_storage_bytes", "gauge", "Mail of an account.",
        [("", {"account": account}, octets) for account, octets, _ in latest],
    )  # fmt: skip
    yield Family(
        "mailhost_account_messages", "gauge", "Messages of an account.",
        [("", {"account": account}, messages) for account, _, messages in latest],
    )  # fmt: skip
    yield Family(
        "mailhost_certificate_expiry_timestamp_seconds", "gauge", "When a certificate ends.",
        [("", {"name": date.about}, date.time) for date in summary.dates() if date.what == "certificate ends"],
    )  # fmt: skip
    backup = summary.last_backup()
    if backup:
        yield Family(
            "mailhost_backup_last_success_timestamp_seconds",
            "gauge",
            "When the last backup was made.",
            [("", {}, backup)],
        )
    # Gauges, because reports are kept for a time.
    yield Family(
        "mailhost_dmarc_messages", "gauge", "Messages in the name of a domain that others report, of the last 400 days.",
        sums("domain source disposition dkim spf", "dmarc", "messages"),
    )  # fmt: skip
    yield Family(
        "mailhost_tls_report_sessions", "gauge", "Sessions that others report (RFC 8460), of the last 400 days.",
        sums("domain policy result", "tls", "sessions"),
    )  # fmt: skip
    yield Family(
        "mailhost_collection_timestamp_seconds", "gauge", "When the figures were collected.",
        [("", {}, int(figures.get("collect.time") or 0))],
    )  # fmt: skip


def histogram(figures: store.Store, what: str, direction: str) -> Iterator[tuple[str, Labels, float]]:
    labels = {"direction": direction} if direction else {}
    rows = [
        *figures.database.execute(
            "SELECT bucket, sum(number), sum(seconds) FROM durations WHERE what = ? GROUP BY 1", (what,)
        )
    ]
    count = sum(number for _, number, _ in rows)
    for bound in BOUNDS:
        number = sum(number for bucket, number, _ in rows if bucket <= bound)
        yield "_bucket", {**labels, "le": f"{store.longest_of(bound):.4g}"}, number
    yield "_bucket", {**labels, "le": "+Inf"}, count
    yield "_sum", labels, sum(seconds for *_, seconds in rows)
    yield "_count", labels, count
