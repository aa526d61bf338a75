"""Mailboxes of files: Maildirs and mbox in a tar, as old hosts and mail clients have them."""

import gzip
import io
import json
import pathlib
import tarfile
import tempfile
import unittest
from unittest import mock

from mailhost import export
from mailhost.failure import Failure
from mailhost.imports import archive, job, lately, local, mbox, memory
from mailhost.imports.archive import Archive
from mailhost.imports.local import LocalSource
from mailhost.imports.maildir import shown
from mailhost.imports.messages import Entry, Listing, name_of

ONE = b"Message-ID: <1@old.example>\nSubject: one\n\nx\n"
TWO = b"Message-ID: <2@old.example>\nSubject: two\n\nx\n"
BEGIN = b"From erika@old.example Fri Jan  1 10:00:00 2021\n"


def member(name, content=b"", kind=tarfile.REGTYPE, changed=1609495200, link=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.mtime, entry.linkname = len(content), kind, changed, link
    return entry, content


def folder(name):
    return member(name, kind=tarfile.DIRTYPE)


def packed(*members, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for entry, content in members:
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(archive, "ROOT", self.folder))
        self.enterContext(mock.patch.object(archive, "RESERVE", 0))

    def archive(self, *members, **options):
        opened = Archive(io.BytesIO(packed(*members, **options)))
        self.addCleanup(opened.close)
        return opened

    def source(self, *members, user="anna@example.org", **options):
        return LocalSource(self.archive(*members, **options), user)

    def content(self, source):
        """By folder: subject or text, flags, and date."""
        found = {}
        for one in source.folders():
            listing = source.listing(one)
            messages = dict(source.messages(one, list(listing.entries)))
            self.assertEqual([*messages], [*listing.entries])
            for uid, message in messages.items():
                self.assertEqual(
                    (len(message.text), message.flags), (listing.entries[uid].size, listing.entries[uid].flags)
                )
            found["/".join(one.parts)] = [
                (message.text, *sorted(message.flags), message.date) for message in messages.values()
            ]
        return found

    def texts(self, source):
        return {name: [text for text, *_ in messages] for name, messages in self.content(source).items()}


class Tars(Files):
    def test_each_way_to_pack_it(self):
        for mode in ("w", "w:gz", "w:bz2", "w:xz"):
            with self.subTest(mode):
                self.assertEqual(self.texts(self.source(member("cur/1:2,S", ONE), mode=mode)), {"INBOX": [crlf(ONE)]})

    def test_one_that_was_cut_off_is_no_whole_one(self):
        whole = packed(member("cur/1", ONE), member("cur/2", TWO * 50))
        # At the end of a member; within one; within a header; before the end of the tar.
        for length in (0, 1024, 2048, 1024 + 300, 4096):
            with self.subTest(length), self.assertRaisesRegex(Failure, "not a tar|cut off"):
                Archive(io.BytesIO(whole[:length]))
        for other in (b"no tar" * 500, gzip.compress(packed(member("cur/1", ONE)))[:-30]):
            with self.assertRaisesRegex(Failure, "not a tar|cut off"):
                Archive(io.BytesIO(other))

    def test_nothing_is_written_under_a_name_of_it(self):
        source = self.source(
            member("cur/1", ONE),
            member("../../cur/up", TWO),
            member("/abs/../../cur/2", TWO),
            member("cur/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
            member("cur/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"),
            member("cur/device", kind=tarfile.CHRTYPE),
        )
        self.assertEqual(self.texts(source), {"INBOX": [crlf(ONE)]})
        self.assertEqual([one.split()[0] for one in source.unreadable], ["../../cur/up", "abs/../../cur/2"])
        self.assertEqual([*self.folder.iterdir()], [])

    def test_copies_that_are_links(self):
        source = self.source(
            member("./cur/1:2,S", ONE), member("./.Old/cur/1:2,F", kind=tarfile.LNKTYPE, link="./cur/1:2,S")
        )
        found = self.content(source)
        self.assertEqual([flags for _, flags, _ in (*found["INBOX"], *found["Old"])], ["\\Seen", "\\Flagged"])
        self.assertEqual(self.texts(source), {"INBOX": [crlf(ONE)], "Old": [crlf(ONE)]})

    def test_a_volume_that_is_full_is_told(self):
        with mock.patch.object(archive, "RESERVE", 1 << 62), self.assertRaisesRegex(Failure, "volume has less than"):
            self.archive(member("cur/1", ONE))

    def test_messages_that_cannot_be_read_are_named(self):
        with mock.patch.object(archive, "MOST", 100):
            source = self.source(
                member("cur/gz", gzip.compress(ONE)),
                member("cur/large", b"x" * 101),
                member("cur/bomb", gzip.compress(b"x" * 101)),
                member("cur/damaged", gzip.compress(ONE)[:-9]),
                member("cur/crypt", b"CRYPTED\x03\x07\x02..."),
                member("cur/lz4", b"Dovecot-LZ4\r*\x9b\xc5"),
                member("cur/crypt2", kind=tarfile.LNKTYPE, link="cur/crypt"),
            )
        self.assertEqual(self.texts(source), {"INBOX": [crlf(ONE)]})
        self.assertEqual(
            [line.split()[0] for line in source.unreadable],
            [f"cur/{name}" for name in ("large", "bomb", "damaged", "crypt", "lz4", "crypt2")],
        )
        self.assertIn("mail_crypt", source.unreadable[3])


def crlf(text):
    return text.replace(b"\n", b"\r\n")


#: How other hosts lay out the mail of all accounts.
LAYOUTS = {
    "Mail-in-a-Box": "user-data/mail/mailboxes/example.org/{}",
    "mailcow": "vmail/example.org/{}/Maildir",
    "docker-mailserver": "mail-data/example.org/{}",
    "system users": "home/{}/Maildir",
    "by address": "{}@example.org/Maildir",
}


class Maildirs(Files):
    def test_each_layout_of_a_whole_host(self):
        for host, layout in LAYOUTS.items():
            anna, joanna = layout.format("anna"), layout.format("joanna")
            with self.subTest(host):
                source = self.source(
                    *(folder(f"{anna}/{part}") for part in ("cur", "new", "tmp", ".Leer/cur")),
                    member(f"{joanna}/cur/1:2,S", TWO),
                    member(f"{anna}/cur/1:2,S", ONE),
                    member(f"{joanna}/.Sent/cur/1:2,S", TWO),
                    member(f"{anna}/.Sent/new/2", ONE),
                    member(f"{anna}/subscriptions", b"Sent\n"),
                )
                self.assertEqual(self.texts(source), {"INBOX": [crlf(ONE)], "Leer": [], "Sent": [crlf(ONE)]})
                self.assertEqual([one.parts for one in source.folders() if one.subscribed], [("Sent",)])

    def test_another_account_is_never_taken_for_the_one_wanted(self):
        with self.assertRaisesRegex(Failure, "none is surely that of anna@example.org: a.example/x, b.example/y"):
            self.source(member("a.example/x/cur/1", ONE), member("b.example/y/cur/1", ONE))
        with self.assertRaisesRegex(Failure, "none is surely that of"):
            self.source(member("a.example/anna/cur/1", ONE), member("b.example/anna/cur/1", ONE))
        one = self.source(
            member("a.example/anna/cur/1", ONE), member("b.example/anna/cur/1", TWO), user="anna@b.example"
        )
        self.assertEqual(self.texts(one), {"INBOX": [crlf(TWO)]})

    def test_folders_in_each_form(self):
        names = {
            ".Sent": "Sent",
            ".Projekte.Haus": "Projekte/Haus",
            ".&2D3eAA- Spa&AN8-": "😀 Spaß",
            ".Entw\u00fcrfe": "Entwürfe",
            ".v1\\2e2": "v1.2",
            ".A&-B": "A&B",
            ".a..b": "a/_/b",
            ".&AAoADQ-x": "__x",
            ".bad\udcff": "bad\ufffd",
        }
        source = self.source(
            folder("cur"), *(member(f"{name}/cur/1", ONE) for name in names), folder("..DOVECOT-TRASHED/cur")
        )
        self.assertEqual(
            {one.name: "/".join(one.parts) for one in source.folders()},
            {"INBOX": "INBOX", **{name.replace("\udcff", "\ufffd"): target for name, target in names.items()}},
        )
        self.assertEqual(len(shown("ä" * 500)), 74)

    def test_the_layout_fs_and_that_of_this_host(self):
        source = self.source(
            folder("anna/cur"),
            member("anna/Work/cur/1", ONE),
            member("anna/Work/v1.2/cur/1", TWO),
            folder("bert/cur"),
            member("anna/subscriptions", b"V\t2\n\nWork\tv1.2\n"),
        )
        self.assertEqual(self.texts(source), {"INBOX": [], "Work": [crlf(ONE)], "Work/v1.2": [crlf(TWO)]})
        self.assertEqual([one.parts for one in source.folders() if one.subscribed], [("Work", "v1.2")])
        own = self.source(
            member("mail/Folders/INBOX/.maildir/cur/1", ONE), member("mail/Folders/Work/v1.2/.maildir/cur/1", TWO)
        )
        self.assertEqual(self.texts(own), {"INBOX": [crlf(ONE)], "Work/v1.2": [crlf(TWO)]})
        hidden = self.source(member("home/anna/.maildir/cur/1", ONE), member("home/anna/.maildir/.Old/cur/1", TWO))
        self.assertEqual(self.texts(hidden), {"INBOX": [crlf(ONE)], "Old": [crlf(TWO)]})

    def test_flags_keywords_and_dates(self):
        source = self.source(
            member("cur/1609495200.M1.old,S=9:2,DFRSTPab", ONE, changed=1609495260),
            member("cur/1609495300.M2.old;2,c", ONE, changed=0),
            member("cur/3", ONE),
            member("new/4:2,S", ONE, changed=-5),
            member("tmp/5", ONE),
            member("dovecot-keywords", b"0 $Label1\n1 work\n2 \\Bad\n3 ) x\n27 far\nnonsense\n"),
        )
        self.assertEqual(
            [rest for _, *rest in self.content(source)["INBOX"]],
            [
                ["01-Jan-1970 00:00:00 +0000"],
                ["01-Jan-2021 10:00:00 +0000"],
                [
                    "$Forwarded",
                    "$Label1",
                    "\\Answered",
                    "\\Deleted",
                    "\\Draft",
                    "\\Flagged",
                    "\\Seen",
                    "work",
                    "01-Jan-2021 10:01:00 +0000",
                ],
                ["01-Jan-2021 10:01:40 +0000"],
            ],
        )

    def test_messages_that_are_odd(self):
        texts = {
            "no id": b"Subject: x\n\nx\n",
            "with CRLF": b"Message-ID: <3@old.example>\r\n\r\nx\n",
            "8-bit": b"Message-ID: <4@old.example>\nX-Name: J\xf6rg\n\nx\n",
            "invalid date": b"Message-ID: <5@old.example>\nDate: gestern\n\nx",
            "no header": b"no header at all",
            "empty": b"",
        }
        twice = [member("cur/a", ONE), member("cur/b", ONE), member("new/a:2,", ONE)]
        source = self.source(*(member(f"cur/{name}", text) for name, text in texts.items()), *twice)
        [inbox] = source.folders()
        entries = source.listing(inbox).entries
        self.assertEqual(len(entries), len(texts) + 3)
        self.assertEqual(
            sorted(self.texts(source)["INBOX"]),
            sorted(crlf(text.replace(b"\r\n", b"\n")) for text in (*texts.values(), ONE, ONE, ONE)),
        )
        names = [entry.name for entry in entries.values()]
        self.assertEqual(names.count("<1@old.example>"), 3)
        self.assertIn("<3@old.example>", names)

    def test_a_message_has_the_same_number_in_each_archive(self):
        first, later = (
            self.source(*members, user="anna@example.org")
            for members in (
                [member("mail/cur/1:2,", ONE), member("mail/cur/2:2,", TWO)],
                [member("cur/0:2,", TWO), member(".Old/cur/2:2,S", TWO), member("cur/1:2,S", ONE)],
            )
        )
        numbers = [
            {uid for one in source.folders() for uid in source.listing(one).entries} for source in (first, later)
        ]
        self.assertLess(numbers[0], numbers[1])


#: Files of mbox, with the texts and flags of the messages that are in them.
QUOTING = {
    "mboxrd": (
        BEGIN + b"Subject: a\n\n>From here\n>>From there\n\n" + BEGIN + b"Subject: b\n\nx\n\n",
        [b"Subject: a\n\nFrom here\n>From there\n", b"Subject: b\n\nx\n"],
    ),
    "mboxcl": (
        BEGIN + b"Content-Length: 11\nSubject: a\n\n>From here\n\n" + BEGIN + b"Subject: b\n\nx\n\n",
        [b"Subject: a\n\nFrom here\n", b"Subject: b\n\nx\n"],
    ),
    "mboxcl2": (
        BEGIN + b"Content-Length: 61\nSubject: a\n\n\n" + BEGIN + b">From there\n\n\n" + BEGIN + b"Subject: b\n\nx\n\n",
        [b"Subject: a\n\n\n" + BEGIN + b">From there\n\n", b"Subject: b\n\nx\n"],
    ),
    "Content-Length that is wrong": (
        BEGIN
        + b"Subject: a\nContent-Length: 3\n\n>From here\n\n"
        + BEGIN
        + b"Content-Length: 999\nSubject: b\n\nx\n\n",
        [b"Subject: a\n\nFrom here\n", b"Subject: b\n\nx\n"],
    ),
    "a line of the text that begins like one, and is none": (
        BEGIN + b"Subject: a\n\nFrom here on\n\nFrom me at 10:30 to you\nFrom x Fri Jan  1 10:00:00 2021\n\n",
        [b"Subject: a\n\nFrom here on\n\nFrom me at 10:30 to you\nFrom x Fri Jan  1 10:00:00 2021\n"],
    ),
    "no text, no header, and no end of the line": (
        BEGIN + b"Subject: a\n\n" + BEGIN + b"\nonly text\n\n" + BEGIN + b"Subject: c\n\nx",
        [b"Subject: a\n\n", b"\nonly text\n", b"Subject: c\n\nx"],
    ),
    "of Windows": (
        (BEGIN + b"Subject: a\n\n>From x\n\n" + BEGIN + b"Subject: b\n\nx\n\n").replace(b"\n", b"\r\n"),
        [b"Subject: a\n\nFrom x\n", b"Subject: b\n\nx\n"],
    ),
    "empty lines at the end": (BEGIN + b"Subject: a\n\nx\n\n\n\n", [b"Subject: a\n\nx\n\n\n"]),
    "of UW-IMAP": (
        BEGIN
        + b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n"
        + BEGIN
        + ONE
        + b"\n",
        [ONE],
    ),
    "expunged by Thunderbird": (
        b"From - Fri Jan  1 10:00:00 2021\nX-Mozilla-Status: 0009\nSubject: a\n\nx\n\nFrom \nX-Mozilla-Status: 0001\n"
        + ONE,
        [ONE],
    ),
}
FLAGS = {
    b"Status: RO\nX-Status: AF\nX-Keywords: $Forwarded work ) \n": {
        "\\Seen",
        "\\Answered",
        "\\Flagged",
        "$Forwarded",
        "work",
    },
    b"Status: O\nX-Status: TD\nX-UID: 7\n": {"\\Draft", "\\Deleted"},
    b"X-Mozilla-Status: 1005\nX-Mozilla-Status2: 00800000\nX-Mozilla-Keys: $label1\n  \n": {
        "\\Seen",
        "\\Flagged",
        "$Forwarded",
        "$label1",
    },
    b"X-Mozilla-Status: nonsense\n": set(),
}
#: Lines before a message, with what the header adds, and when it arrived.
DATES = {
    (b"From x@old.example Fri Jan  1 10:00:00 2021\n", b""): 1609495200,
    (b"From 1234@xxx Fri Jan 01 10:00:00 +0100 2021\n", b""): 1609491600,
    (b"From x Fri Jan  1 10:00 2021 -0100\n", b""): 1609498800,
    (b"From x y@z Fri Jan  1 10:00:00 GMT 2021\n", b""): 1609495200,
    (b"From \n", b"Date: Fri, 01 Jan 2021 10:00:00 +0000\n"): 1609495200,
    (b"From x Fri Foo  1 10:00:00 2021\n", b"Date: gestern\n"): None,
    (b"From \n", b"Date: Fri, 01 Jan 99999 10:00:00 +9999\n"): None,
}


class Mboxes(Files):
    def test_where_messages_end_and_what_is_quoted(self):
        for name, (text, expected) in QUOTING.items():
            with self.subTest(name):
                self.assertEqual(self.texts(self.source(member("Old.mbox", text))), {"Old": [*map(crlf, expected)]})

    def test_flags(self):
        for header, flags in FLAGS.items():
            with self.subTest(header):
                found = mbox.read(BEGIN + header + ONE, True)
                self.assertEqual((found.flags, found.text), (flags, ONE))

    def test_dates(self):
        for (begin, header), time in DATES.items():
            with self.subTest(begin):
                self.assertEqual(mbox.read(begin + header + ONE, True).arrived, time)

    def test_names_of_folders(self):
        text = BEGIN + ONE
        for paths, expected in {
            ("anna@example.org/mbox/INBOX.mbox", "anna@example.org/mbox/Projekte/2.0.mbox"): {"INBOX", "Projekte/2.0"},
            ("Mail/Inbox", "Mail/Inbox.msf", "Mail/Sent", "Mail/Inbox.sbd/Work"): {"INBOX", "Sent", "Inbox/Work"},
            ("anna",): {"INBOX"},
            ("mail/&2D3eAA-", "mail/mbox"): {"😀", "INBOX"},
        }.items():
            with self.subTest(paths):
                source = self.source(*(member(path, b"x" if path.endswith("msf") else text) for path in paths))
                self.assertEqual(set(self.texts(source)), expected)

    def test_two_that_are_alike_are_two_and_have_their_numbers_in_each_archive(self):
        text = (BEGIN + ONE + b"\n") * 2
        first = self.source(member("INBOX", text))
        later = self.source(member("INBOX", BEGIN + TWO + b"\n" + text))
        numbers = [set(one.listing(one.folders()[0]).entries) for one in (first, later)]
        self.assertEqual((len(numbers[0]), len(numbers[1])), (2, 3))
        self.assertLess(numbers[0], numbers[1])

    def test_an_archive_without_mail_is_told(self):
        with self.assertRaisesRegex(Failure, "neither a Maildir nor a file of mbox"):
            self.source(member("notes.txt", b"x"))
        self.assertEqual(self.texts(self.source(member("Leer.mbox"))), {"Leer": []})


class RoundTrip(Files):
    """What `mailhost export` writes, read again."""

    MESSAGES = [
        export.Message(1, ("\\Seen", "\\Flagged", "work"), 1580544672, ONE + b"\nFrom here\n>From there\n"),
        export.Message(2, ("\\Draft", "\\Answered", "\\Deleted"), 1612167072, b"Subject: \xff\n\nno line end\n\n"),
        export.Message(3, (), 1612167073, TWO),
    ]
    FOLDERS = ("INBOX", "Sent", "Projekte/Haus", "\U0001f600 Spa\u00df")

    def test_both_forms(self):
        expected = [(crlf(one.text), *sorted(one.flags), local.date(one.arrival)) for one in self.MESSAGES]
        for name, form in export.FORMATS.items():
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w|") as tar, mock.patch.object(export, "ROOT", self.folder):
                written = form(export.Tar(tar, "anna@example.org"))
                with mock.patch.object(export, "host_name", lambda: "mail.example.org"):
                    for folder_name in self.FOLDERS:
                        written.add(folder_name, iter(self.MESSAGES))
                written.end(["Projekte/Haus"])
            opened = Archive(io.BytesIO(out.getvalue()))
            self.addCleanup(opened.close)
            source = LocalSource(opened, "anna@example.org")
            with self.subTest(name):
                self.assertEqual(self.content(source), dict.fromkeys(self.FOLDERS, expected))
                subscribed = ["/".join(one.parts) for one in source.folders() if one.subscribed]
                self.assertEqual(subscribed, ["Projekte/Haus"])


class Jobs(Files):
    def test_each_account_has_its_result_and_is_noted_without_a_call_to_repeat_it(self):
        self.enterContext(mock.patch.object(memory, "FOLDER", self.folder / "import"))
        self.enterContext(mock.patch.object(lately, "FILE", self.folder / "import/copies.json"))
        self.enterContext(mock.patch.object(lately, "put_private", lambda path, text: path.write_text(text)))
        self.enterContext(mock.patch.object(job, "LOCK", self.folder / "lock"))
        self.enterContext(mock.patch("mailhost.imports.copying.FOLDER", self.folder))
        self.enterContext(mock.patch.object(job, "Mailbox", lambda account: boxes[account]))
        boxes = {"anna@example.org": Here(), "bert@example.org": Here()}
        lines = []
        files = job.FilesJob(
            tuple(job.OfFiles(f"{name}@example.org", f"{name}@old.example", {}) for name in ("anna", "bert", "carol"))
        )
        tar = packed(
            *(member(f"old.example/{name}/cur/1:2,S", text) for name, text in (("anna", ONE), ("bert", TWO))),
            member("old.example/bert/cur/2:2,S", b"CRYPTED\x03\x07"),
        )
        job.run_files(files, io.BytesIO(tar), lambda line: lines.append(json.loads(line)))
        results = [line["result"] for line in lines if "result" in line]
        self.assertEqual(
            [(one["account"], one["copied"]) for one in results],
            [
                ("anna@example.org", 1),
                ("bert@example.org", 1),
                ("carol@example.org", 0),
            ],
        )
        self.assertIn("mail_crypt", results[1]["refused"][0])
        self.assertIn("none is surely that of carol@old.example", results[2]["error"])
        self.assertEqual([*lately.all_of(lately.FILE)], ["anna@example.org"])
        self.assertEqual([*lately.warnings()], [])


class Here:
    """A mailbox of this host, in memory."""

    account = ""

    def __init__(self):
        self.messages = []

    def close(self):
        pass

    def folders(self):
        return {"INBOX": None}

    def listing(self, _name):
        numbered = enumerate(self.messages, 1)
        return Listing(1, {uid: Entry(name_of(one.text), len(one.text), one.flags) for uid, one in numbered})

    def append(self, _name, messages):
        first = len(self.messages) + 1
        self.messages += messages
        return 1, [*range(first, len(self.messages) + 1)]

    def quota(self):
        return None


if __name__ == "__main__":
    unittest.main()
