"""What a restored volume has besides what its backup had."""

import pathlib
import tempfile
import unittest
from unittest import mock

from mailhost import restore


class MaildirTest(unittest.TestCase):
    def setUp(self):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.mail, self.homes = root / "mail", root / "home"
        self.enterContext(mock.patch.multiple(restore, MAIL=self.mail, HOMES=self.homes))

    def complete(self) -> list:
        """Makes what is missing; gives what was made, below the folder of all."""
        top = self.mail.parent
        before = set(top.rglob("*"))
        restore.complete_maildirs()
        return sorted(str(path.relative_to(top)) for path in set(top.rglob("*")) - before)

    def test_gives_each_folder_its_tmp(self):
        for folder in (
            self.mail / "example.org/anna/mail/Folders/INBOX/.maildir",
            self.mail / "example.org/anna/mail/Folders/cur/.maildir",
            self.homes / "bert/mail/Folders/INBOX/.maildir",
            # As earlier versions had them.
            self.mail / "example.net/carl/mail",
            self.mail / "example.net/carl/mail/.Archive",
        ):
            for part in ("cur", "new"):
                (folder / part).mkdir(parents=True)
        made = [
            "home/bert/mail/Folders/INBOX/.maildir/tmp",
            "mail/example.net/carl/mail/.Archive/tmp",
            "mail/example.net/carl/mail/tmp",
            "mail/example.org/anna/mail/Folders/INBOX/.maildir/tmp",
            "mail/example.org/anna/mail/Folders/cur/.maildir/tmp",
        ]
        self.assertEqual(self.complete(), made)
        self.assertEqual(self.complete(), [])

    def test_has_the_owner_and_the_mode_of_the_messages(self):
        cur = self.mail / "example.org/anna/mail/Folders/INBOX/.maildir/cur"
        cur.mkdir(parents=True)
        cur.chmod(0o750)
        self.complete()
        tmp = cur.with_name("tmp").stat()
        self.assertEqual((tmp.st_mode, tmp.st_uid), (cur.stat().st_mode, cur.stat().st_uid))


class OrderTest(unittest.TestCase):
    def test_is_that_of_arrival_whatever_the_flags(self):
        messages = [
            "new/1764524000.M9999P77.mail,S=512,W=530",
            "cur/1764524000.M10000P77.mail,S=512,W=530:2,S",
            "new/1764524000.M987654P77.mail,S=512,W=530",
            "cur/1764524001.M5P77.mail,S=512,W=530:2,",
            "new/1764524001.R1764524001000000123.mail,S=512",
        ]
        paths = [pathlib.Path("/scratch", message) for message in ["cur/without-time:2,S", *messages]]
        shuffled = [*paths[3:], *paths[:3]]
        self.assertEqual(sorted(shuffled, key=restore.arrival), paths)


if __name__ == "__main__":
    unittest.main()
