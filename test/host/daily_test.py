"""What the postmaster gets each day."""

import unittest

from mailhost import daily
from mailhost.doctor import Finding
from mailhost.failure import Failure
from on_host import OnHost

STOPPED = Finding("service-stopped", "service amavis does not run")


class Daily(OnHost):
    def setUp(self):
        super().setUp()
        self.now, self.mails = [], []
        self.replace(
            daily, FOUND=self.folder / "daily.json", HOST_LOCK=str(self.folder / "lock"), host_name=lambda: "mail.example.org",
            planned=lambda: None, notify_postmaster=lambda *mail: self.mails.append(mail),
        )  # fmt: skip
        self.replace(daily.doctor, examine=lambda _: self.now)

    def mail(self, *findings):
        self.now = [*findings]
        self.mails.clear()
        daily.report()
        return self.mails[0] if self.mails else None

    def test_is_nothing_where_nothing_is_wrong_or_nothing_changed(self):
        self.assertIsNone(self.mail())
        self.assertIsNotNone(self.mail(STOPPED))
        self.assertIsNone(self.mail(STOPPED))

    def test_names_what_is_new_what_is_gone_and_what_lasts(self):
        disk = Finding("disk-full", "of the room of / 4% are left")
        lasting = Finding("backup-absent", "the setting backup is not set")
        self.mail(STOPPED, lasting)
        subject, text = self.mail(disk, lasting)
        self.assertEqual(subject, "mail.example.org: findings: 1 new, 1 gone")
        self.assertEqual(
            text.split("\n\n")[:6],
            [
                "New since yesterday", f"- disk-full: {disk.evidence}", "No longer found",
                f"- service-stopped: {STOPPED.evidence}", "Still found", f"- backup-absent: {lasting.evidence}",
            ],
        )  # fmt: skip

    def test_takes_another_number_for_no_change_but_another_place(self):
        def full(share, path):
            return Finding("disk-full", f"of the room of {path} {share}% are left")

        self.mail(full(9, "/"))
        self.assertIsNone(self.mail(full(4, "/")))
        self.assertIn("/srv", self.mail(full(4, "/"), full(4, "/srv"))[1])
        # Two that differ by numbers alone are two.
        port = [Finding("listener-wrong", f"nothing listens on port {number}") for number in (25, 465)]
        self.mail(port[0])
        self.assertEqual(self.mail(*port)[0], "mail.example.org: findings: 1 new")

    def test_is_tried_again_if_it_cannot_be_sent(self):
        def fails(*_):
            raise Failure("paused")

        self.now = [STOPPED]
        sends = daily.notify_postmaster
        daily.notify_postmaster = fails
        with self.assertRaises(Failure):
            daily.report()
        daily.notify_postmaster = sends
        self.assertIsNotNone(self.mail(STOPPED))

    def test_tells_all_again_where_its_notes_are_damaged(self):
        self.mail(STOPPED)
        daily.FOUND.write_text("{")
        self.assertIn("1 new", self.mail(STOPPED)[0])


if __name__ == "__main__":
    unittest.main()
