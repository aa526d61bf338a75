"""The figures as the page and Prometheus get them."""

import json
import types
import unittest

from figures_test import NOW, make_year
from mailhost.documents import plain
from mailhost.figures import metrics, store, summary
from on_host import OnHost


class Shown(OnHost):
    def setUp(self):
        super().setUp()
        self.replace(store, PATH=self.folder / "figures.sqlite")
        self.replace(summary, dates=lambda: iter([summary.Date("certificate ends", "mail.example.org", NOW)]))
        self.replace(summary, last_backup=lambda: NOW - 60.0)

    def test_has_each_day_and_hour_in_its_place(self):
        with store.opened() as figures:
            for at, number in (
                (NOW, 1),
                (NOW - 3600, 2),
                (NOW - 40 * 86400, 4),
                (NOW - 365 * 86400, 8),
                (NOW - 366 * 86400, 16),
            ):
                figures.count_mail(at, "example.org", "in", number)
            figures.add_duration(NOW, "in", 2)
            figures.note_queue(NOW, 3, 9)
            figures.note_storage(NOW - 31 * 86400, "anna@example.org", 100, 1)
            figures.note_storage(NOW, "anna@example.org", 300, 2)
            figures.note_storage(NOW, "bert@example.org", 50, 1)
            figures.condense(NOW)
        shown = summary.summarize(NOW)
        (days,), (hours,) = shown.days.mail, shown.hours.mail
        self.assertEqual((len(days.numbers), days.numbers[-1], days.numbers[-41], days.numbers[0]), (366, 3, 4, 8))
        self.assertEqual((len(hours.numbers), hours.numbers[-2:], sum(hours.numbers)), (336, (2, 1), 3))
        self.assertEqual(shown.days.begin, NOW // 86400 * 86400 - 365 * 86400)
        self.assertEqual((shown.days.queue[-1], shown.hours.queue[-1]), (3, 3))
        ((what, median, most),) = [(one.what, one.median[-1], one.most[-1]) for one in shown.days.durations]
        self.assertTrue(what == "in" and 2000 <= median == most <= 2320)
        self.assertEqual((shown.storage[-1], shown.storage[-32]), (350, 100))
        self.assertEqual(
            shown.accounts,
            (summary.Account("anna@example.org", 300, 2, 100), summary.Account("bert@example.org", 50, 1, 0)),
        )
        json.dumps(shown, default=plain)

    def test_has_a_year_of_a_busy_host(self):
        make_year(store.PATH, NOW, domains=3)
        shown = summary.summarize(NOW)
        self.assertEqual(len(shown.days.mail), 15)
        self.assertTrue(all(number > 0 for series in shown.days.mail for number in series.numbers))
        self.assertEqual({row.source for row in shown.dmarc}, {"own", "other"})

    def test_is_in_the_text_format_of_prometheus(self):
        with store.opened() as figures:
            figures.count_mail(NOW, "example.org", "in", 3)
            figures.count_login(NOW, 'a"b\\c\n', "ok")
            figures.add_duration(NOW, "in", 2)
            figures.add_duration(NOW, "in", 200_000)
        text = metrics.text()
        for line in (
            'mailhost_mail_recipients_total{domain="example.org",outcome="in"} 3',
            'mailhost_logins_total{service="a\\"b\\\\c\\n",outcome="ok"} 1',
            'mailhost_delivery_duration_seconds_bucket{direction="in",le="1"} 0',
            'mailhost_delivery_duration_seconds_bucket{direction="in",le="3.162"} 1',
            'mailhost_delivery_duration_seconds_bucket{direction="in",le="+Inf"} 2',
            'mailhost_delivery_duration_seconds_count{direction="in"} 2',
            f'mailhost_certificate_expiry_timestamp_seconds{{name="mail.example.org"}} {NOW}',
            f"mailhost_backup_last_success_timestamp_seconds {NOW - 60}",
        ):
            self.assertIn(f"{line}\n", text)
        self.check_format(text)

    def check_format(self, text):
        """The rules of the format, and of names: https://prometheus.io/docs/practices/naming/."""
        name, kind = None, None
        seen = set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split()[2]
                self.assertNotIn(name, seen)
                seen.add(name)
                self.assertGreater(len(line.split()), 3)
            elif line.startswith("# TYPE "):
                _, _, typed, kind = line.split()
                self.assertEqual(typed, name)
                self.assertEqual(kind == "counter", name.endswith("_total"), name)
            else:
                ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
                self.assertRegex(
                    line, rf'^{name}(?:{"|".join(ends)})(?:\{{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\}})? [0-9.e+]+$'
                )
        self.assertEqual(text[-1], "\n")
        for one in seen:
            self.assertRegex(one, r"^mailhost_[a-z_]+$")
            self.assertNotRegex(one, r"milliseconds|minutes|hours|kilobytes")

    def test_is_left_for_nginx_only_with_the_setting(self):
        page, folders = self.folder / "metrics", self.folder / "folders.conf"
        self.replace(metrics, PAGE=page, FOLDERS=folders)
        metrics.publish()
        self.assertFalse(page.exists())
        folders.touch()
        metrics.publish()
        self.assertIn("mailhost_info", page.read_text())
        folders.unlink()
        metrics.publish()
        self.assertFalse(page.exists())


class Dates(OnHost):
    def test_are_those_of_keys_policy_and_backup(self):
        policy = self.folder / "mta-sts.txt"
        policy.write_text("version: STSv1\nmode: enforce\n")
        evidence = self.folder / "tlsa.json"
        evidence.write_text('{"3 1 1 25a050b8205582": 5}')
        entry = summary.dkim_evidence.Entry(visible=1, begun=2, until=3, keep=4)
        self.replace(summary.dkim_evidence, load=lambda: {"example.org": {"s1": entry}})
        self.replace(summary.tlsa, EVIDENCE=evidence)
        self.replace(summary.certificates, FOLDER=str(self.folder), CHAIN=str(self.folder / "none.pem"))
        self.replace(summary, POLICY=policy)
        self.replace(summary.backup, state=lambda: types.SimpleNamespace(last="2030-03-17T17:46:40+00:00"))
        found = {date.what: (date.about, date.time) for date in summary.dates()}
        mode = found.pop("MTA-STS policy has mode enforce since")
        self.assertEqual(mode, ("all domains", int(policy.stat().st_mtime)))
        key = "s1._domainkey.example.org"
        self.assertEqual(
            found,
            {
                "DKIM key is published since": (key, 1), "DKIM key signs since": (key, 2), "DKIM key signed until": (key, 3),
                "DKIM key may be removed from": (key, 4), "TLSA record is published since": ("3 1 1 25a050b8…", 5),
                "last backup": ("volume", 1_900_000_000),
            },
        )  # fmt: skip


if __name__ == "__main__":
    unittest.main()
