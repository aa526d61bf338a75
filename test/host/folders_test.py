"""Mailboxes that are brought from one layout into the other and back, whole, in part, and after a start that was cut off."""

import contextlib
import os
import pathlib
import random
import re
import tempfile
import unittest
from unittest import mock

from mailhost import folders

TEMPLATE = (pathlib.Path(__file__).parents[2] / "files/etc/dovecot/dovecot.conf.hbs").read_text()

#: A folder's name, and how Dovecot 2.4.1 was seen to store it.
STORED = (
    ("INBOX", "INBOX"),
    ("inbox/x.y", "INBOX/x.y"),
    ("v1.2", "v1.2"),
    ("Archive/2.0", "Archive/2.0"),
    ("x/../y", "x/\x7f2e./y"),
    (".", "\x7f2e"),
    ("...", "..."),
    ("~home", "\x7f7ehome"),
    ("a/~b", "a/\x7f7eb"),
    ("x/.maildir/y", "x/\x7f2emaildir/y"),
    ("100% done", "100% done"),
    ("50%2e", "50%2e"),
    ("R&D", "R&-D"),
    ("Réunions", "R&AOk-unions"),
    ("Киев", "&BBoEOAQ1BDI-"),
    ("😀.😀", "&2D3eAA-.&2D3eAA-"),
    ("cur/tmp", "cur/tmp"),
    (" lead", " lead"),
    ("trail ", "trail "),
)

#: Folders as Maildir++ has them, and as they are stored now.
OLD = {
    ".Archive": "Archive",
    ".Archive.2024": "Archive/2024",
    ".a.b.c": "a/b/c",
    ".INBOX.child": "INBOX/child",
    ".100% sure": "100% sure",
    ".R&-D": "R&-D",
    ".&BBoEOAQ1BDI-": "&BBoEOAQ1BDI-",
    ".new": "new",
    ".cur.tmp": "cur/tmp",
    ".Folders.Folders": "Folders/Folders",
    ".e.~f": "e/\x7f7ef",
}


def fill(maildir: pathlib.Path, word: str) -> None:
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True)
    (maildir / "cur/1.host:2,S").write_text(f"seen in {word}")
    (maildir / "new/2.host").write_text(f"new in {word}")
    for name in ("dovecot-uidlist", "dovecot-keywords", "dovecot.index.log", "maildirfolder"):
        (maildir / name).write_text(f"{name} of {word}")


def tree(top: pathlib.Path) -> dict:
    """Each file with its text, and each empty folder."""
    return {
        str(path.relative_to(top)): path.read_text() if path.is_file() else "a folder"
        for path in sorted(top.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


class Killed(BaseException):
    pass


class Folders(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.mail = self.root / "mail/example.org/anna/mail"
        for name, value in (("ROOT", self.root), ("CONFIGURATION", self.root / "dovecot.conf")):
            patch = mock.patch.object(folders, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.configure(now=True)

    def configure(self, now: bool) -> None:
        text = TEMPLATE if now else TEMPLATE.replace(folders.LAYOUT, "")
        folders.CONFIGURATION.write_text(text)

    def old_mailbox(self, mail: pathlib.Path, names: dict = OLD) -> None:
        fill(mail, "INBOX")
        for name, path in names.items():
            fill(mail / name, path)
        (mail / "subscriptions").write_text("V\t2\n\nArchive\t2024\n")
        (mail / "dovecot-uidvalidity").write_text("6b0d09e1")
        (mail / "dovecot.list.index.log").write_text("names")
        (mail / "..DOVECOT-TRASHED/1").mkdir(parents=True)

    def converted(self, names: dict = OLD) -> dict:
        expected = {"subscriptions": "V\t2\n\nArchive\t2024\n", "dovecot-uidvalidity": "6b0d09e1"}
        with tempfile.TemporaryDirectory() as folder:
            for path in ("INBOX", *names.values()):
                maildir = pathlib.Path(folder, "Folders", *path.split("/"), ".maildir")
                fill(maildir, path)
            return expected | tree(pathlib.Path(folder))

    def test_the_names_are_those_of_the_configuration(self):
        for name, value in (
            ("mailbox_root_directory_name", folders.TOP),
            ("mailbox_directory_name", folders.MESSAGES),
            ("mailbox_list_storage_escape_char", "{{storageEscape}}"),
        ):
            self.assertRegex(TEMPLATE, rf"(?m)^{name} = {re.escape(value)}$")
        self.assertRegex(TEMPLATE, rf"(?m)^{folders.LAYOUT}$")

    def test_a_name_is_stored_as_dovecot_does(self):
        for name, path in STORED:
            self.assertEqual(folders.stored(name), tuple(path.split("/")), name)
            self.assertEqual(folders.shown(folders.stored(name)).upper(), name.upper())
            where = folders.path_of(folders.stored(name))
            self.assertEqual(folders.parts_of(where), folders.stored(name))

    def test_a_folder_of_either_layout_is_known_by_where_its_messages_lie(self):
        self.assertEqual(folders.parts_of(pathlib.Path()), folders.stored("INBOX"))
        for old, new in OLD.items():
            self.assertEqual(folders.parts_of(pathlib.Path(old)), tuple(new.split("/")))

    def test_any_name_comes_back(self):
        source = random.Random(1)
        for _ in range(5000):
            letters = "ab.~%&-\x7f /é😀,+2e"
            name = "/".join(
                "".join(source.choices(letters, k=source.randint(1, 8))).replace("/", "_")
                for _ in range(source.randint(1, 4))
            )
            self.assertEqual(folders.shown(folders.stored(name)), name)
            for part in folders.stored(name):
                self.assertNotIn(part, ("", ".", "..", folders.MESSAGES))

    def test_a_mailbox_is_converted_with_all_that_lies_in_it(self):
        homes = (self.mail, self.root / "home/carl/mail", self.root / "mail/gone.example/gone/mail")
        for mail in homes:
            self.old_mailbox(mail)
        (self.root / "mail/example.org/empty").mkdir()
        self.assertTrue(folders.to_convert())
        folders.convert()
        for mail in homes:
            self.assertEqual(tree(mail), self.converted())
        self.assertFalse(folders.to_convert())

    def test_it_belongs_to_whom_the_mailbox_belongs(self):
        self.old_mailbox(self.mail)
        os.chown(self.mail, 1234, 4321)
        folders.convert()
        for path in ("Folders", "Folders/INBOX", "Folders/a", "Folders/a/b"):
            status = (self.mail / path).stat()
            self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o777), (1234, 4321, 0o700), path)

    def test_the_old_configuration_has_the_old_layout_again(self):
        self.old_mailbox(self.mail)
        before = tree(self.mail)
        folders.convert()
        self.configure(now=False)
        self.assertTrue(folders.to_convert())
        folders.convert()
        for path in ("dovecot.list.index.log", "..DOVECOT-TRASHED/1"):
            del before[path]
        self.assertEqual(tree(self.mail), before)
        self.assertFalse(folders.to_convert())

    def test_nothing_is_lost_that_the_old_layout_cannot_have(self):
        names = ["v1.2", "v1_2", "~home", ".", "..", "/".join(["a long name"] * 40), "я" * 90]
        fill(self.mail / folders.path_of(folders.INBOX), "INBOX")
        for name in names:
            fill(self.mail / folders.path_of(folders.stored(name)), name)
        self.configure(now=False)
        folders.convert()
        texts = tree(self.mail).values()
        for name in names:
            self.assertIn(f"seen in {name}", texts)
        self.assertFalse((self.mail / "Folders").exists())

    def test_it_is_cut_off_at_any_step_and_goes_on_in_either_direction(self):
        names = {name: path for name, path in OLD.items() if name in (".Archive", ".Archive.2024", ".cur.tmp")}
        for goes_back in (False, True):
            for steps in range(30):
                with self.subTest(goes_back=goes_back, steps=steps), tempfile.TemporaryDirectory() as folder:
                    mail = pathlib.Path(folder) / "mail/example.org/anna/mail"
                    with mock.patch.object(folders, "ROOT", pathlib.Path(folder)):
                        self.configure(now=True)
                        self.old_mailbox(mail, names)
                        expected = tree(mail) if goes_back else self.converted(names)
                        self.kill_after(steps)
                        self.configure(now=not goes_back)
                        folders.convert()
                        for path in ("dovecot.list.index.log", "..DOVECOT-TRASHED/1"):
                            expected.pop(path, None)
                        found = tree(mail)
                        found.pop("dovecot.list.index.log", None)
                        found.pop("..DOVECOT-TRASHED/1", None)
                        self.assertEqual(found, expected)

    def kill_after(self, steps: int) -> None:
        left = [steps]

        def counted(real):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        with (
            mock.patch.object(pathlib.Path, "rename", counted(pathlib.Path.rename)),
            mock.patch.object(pathlib.Path, "mkdir", counted(pathlib.Path.mkdir)),
            mock.patch.object(pathlib.Path, "unlink", counted(pathlib.Path.unlink)),
            contextlib.suppress(Killed),
        ):
            folders.convert()

    def test_a_folder_that_is_there_already_is_not_written_over(self):
        self.old_mailbox(self.mail)
        fill(self.mail / "Folders/Archive/2024/.maildir", "the other")
        (self.mail / "Folders/INBOX/.maildir/new").mkdir(parents=True)
        (self.mail / "Folders/INBOX/.maildir/new/9.host").write_text("later")
        folders.convert()
        texts = tree(self.mail).values()
        for text in ("seen in Archive/2024", "seen in the other", "seen in INBOX", "new in INBOX", "later"):
            self.assertIn(text, texts)

    def test_without_a_configuration_nothing_is_moved(self):
        self.old_mailbox(self.mail)
        before = tree(self.mail)
        folders.CONFIGURATION.unlink()
        self.assertFalse(folders.to_convert())
        folders.convert()
        self.assertEqual(tree(self.mail), before)

    def test_folders_of_users_are_no_parts_of_a_maildir(self):
        for path, kept in (
            ("mail/cur", True),
            ("mail/.tmp/tmp", True),
            ("mail/Folders/INBOX/.maildir/cur", True),
            ("mail/Folders/tmp", False),
            ("mail/Folders/tmp/.maildir/tmp", True),
            ("mail/Folders/a/new", False),
            ("mail/Folders/a/.maildir", False),
        ):
            self.assertEqual(folders.is_kept(self.mail.parent / path, "cur", "new", "tmp"), kept, path)


if __name__ == "__main__":
    unittest.main()
