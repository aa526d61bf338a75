"""Mailboxes and accounts as files that other mail hosts read."""

import io
import json
import mailbox
import os
import tarfile
import unittest
import unittest.mock

from mailhost import export, export_accounts, restore
from mailhost.export import Message
from mailhost.failure import Failure
from on_host import OnHost

PLAIN = b"Return-Path: <erika@remote.example>\nSubject: one\nStatus: X\n\nFrom here\n>From there\nx\n"
FOLDERS = {
    "INBOX": [
        Message(1, ("\\Seen", "$Forwarded", "work"), 1580544672, PLAIN),
        Message(7, (), 1580544673, b"Subject: two\n\nno line end"),
    ],
    "v1.2": [Message(3, ("\\Flagged", "\\Answered"), 1612167072, b"Subject: three\n\nx\n")],
    "v1_2": [],
    "Archive/2\xe4": [Message(4, ("\\Draft", "\\Deleted"), 1612167073, b"\xff8-bit\n\nx\n")],
    "../up/.hidden": [],
}


class Session:
    """A mailbox without Dovecot; `gone` is listed, and cannot be opened."""

    def __init__(self, user):
        assert user == "anna@example.org", user

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def opens(self, name):
        self.messages = lambda: iter(FOLDERS[name])
        return name in FOLDERS


def run(*command):
    match command:
        case ("doveadm", "sieve", "list", *_):
            return "away\nfilter it ACTIVE\n"
        case ("doveadm", "-f", "json", "sieve", "get", "-u", _, name):
            return json.dumps([{"sieve script": f"# {name}\n"}])
        case ("doveadm", *_, "-s"):
            return '[{"mailbox": "v1.2"}, {"mailbox": "left"}, {"mailbox": "INBOX"}]'
        case _:
            return json.dumps([{"mailbox": name} for name in (*FOLDERS, "gone")])


class Mail(OnHost):
    def setUp(self):
        super().setUp()
        self.said = []
        self.replace(
            export,
            run=run,
            Mailbox=Session,
            host_name=lambda: "mail.example.org",
            say=self.said.append,
            ROOT=self.folder,
        )
        self.replace(export, user_of=lambda address: address)

    def unpacked(self, form):
        out = io.BytesIO()
        export.export("anna@example.org", form, out)
        out.seek(0)
        with tarfile.open(fileobj=out) as tar:
            tar.extractall(self.folder, filter="data")
        return self.folder / "anna@example.org"

    def test_maildir_is_read_by_others_with_flags_dates_folders_and_subscriptions(self):
        top = self.unpacked("maildir")
        inbox = mailbox.Maildir(top / "Maildir", create=False)
        self.assertEqual(sorted(inbox.list_folders()), sorted(["v1_2", "v1_2_", "Archive.2&AOQ-", "__.up._hidden"]))
        found = {message["subject"]: message for message in inbox}
        self.assertEqual(
            {"one": "Sab", "two": ""}, {subject: message.get_flags() for subject, message in found.items()}
        )
        self.assertEqual((top / "Maildir/dovecot-keywords").read_text(), "0 $Forwarded\n1 work\n")
        (flagged,) = os.listdir(top / "Maildir/.v1_2/cur")
        self.assertEqual(flagged, "1612167072.U3.mail.example.org,S=18:2,FR")
        self.assertEqual(os.stat(top / "Maildir/.v1_2/cur" / flagged).st_mtime, 1612167072)
        (eight_bit,) = (top / "Maildir/.Archive.2&AOQ-/cur").iterdir()
        self.assertEqual(eight_bit.read_bytes(), b"\xff8-bit\n\nx\n")
        self.assertEqual((top / "Maildir/subscriptions").read_text(), "INBOX\nleft\nv1_2\n")
        self.assertIn(
            "the folder v1.2 is called v1_2: no name of Maildir++ has a dot, nor more than 250 octets", self.said
        )
        self.assertEqual(self.said[-1], "anna@example.org: 4 messages in 6 folders")

    def test_the_scripts_are_there_and_the_active_one_is_known(self):
        top = self.unpacked("maildir")
        self.assertEqual((top / "sieve/away.sieve").read_text(), "# away\n")
        self.assertEqual(os.readlink(top / ".dovecot.sieve"), "sieve/filter it.sieve")
        self.assertEqual((top / ".dovecot.sieve").read_text(), "# filter it\n")

    def test_mbox_is_read_by_others_and_lines_that_begin_with_from_stay_what_they_were(self):
        top = self.unpacked("mbox")
        inbox = mailbox.mbox(top / "mbox/INBOX.mbox", create=False)
        one, two = inbox
        self.assertEqual((one.get_from(), one.get_flags()), ("erika@remote.example Sat Feb  1 08:11:12 2020", "RO"))
        self.assertEqual((one["X-Keywords"], one.get_payload()), ("$Forwarded work", ">From here\n>>From there\nx\n"))
        self.assertEqual((two["subject"], two.get_payload()), ("two", "no line end\n"))
        (three,) = mailbox.mbox(top / "mbox/v1.2.mbox", create=False)
        self.assertEqual(sorted(three.get_flags()), ["A", "F", "O"])
        self.assertTrue((top / "mbox/_./up/_hidden.mbox").exists())

    def test_a_keyword_beyond_those_that_a_maildir_can_have_is_reported(self):
        words = tuple(f"word{at}" for at in range(28))
        self.enterContext(unittest.mock.patch.dict(FOLDERS, {"INBOX": [Message(1, words, 1, b"\n\n")]}))
        self.unpacked("maildir")
        self.assertEqual(
            [words for words in self.said if "keyword" in words],
            [f"the keyword word{at} of INBOX is left out: a Maildir has room for 26" for at in (26, 27)],
        )


class Client:
    """Answers as imaplib gives them."""

    def uid(self, _command, numbers, _items):
        if numbers == "1:*":
            return "OK", [
                b'1 (UID 1 FLAGS () INTERNALDATE " 1-Feb-2020 08:11:12 +0000")',
                b'2 (FLAGS (\\Seen \\Recent work) UID 2 INTERNALDATE "01-Feb-2020 09:11:13 +0100")',
                b'3 (UID 3 FLAGS (\\Deleted) INTERNALDATE " 1-Feb-2020 08:11:14 +0000")',
            ]
        texts = {"1": b"a\r\n", "2": b"b\r\n"}
        # The third was deleted meanwhile.
        return "OK", [(b"x", texts[numbers]), b")"] if numbers in texts else [None]


class Sessions(unittest.TestCase):
    def test_messages_with_and_without_flags(self):
        mail = export.Mailbox("anna@example.org")
        mail.client = Client()
        self.assertEqual(
            [*mail.messages()],
            [Message(1, (), 1580544672, b"a\n"), Message(2, ("\\Seen", "work"), 1580544673, b"b\n")],
        )


class Accounts(OnHost):
    def setUp(self):
        super().setUp()
        for module, name in ((export_accounts, "DOVECOT"), (export_accounts, "SMTPD")):
            self.replace(module, **{name: self.folder})
        self.replace(
            export_accounts, accounts=lambda: {"anna@example.org": 1, "bert@example.org": 1, "carl@example.net": 1}
        )
        self.put(
            "passwords",
            "anna@example.org:{CRYPT}$6$salt$hash",
            "bert@example.org:{CRYPT}$y$j9T$salt$hash",
            "carl@example.net:{CRYPT}x",
        )
        self.put("users", "anna@example.org:::::/home::userdb_quota_storage_size=500M", "bert@example.org:::::/home")
        self.put(
            "identities",
            "anna@example.org anna@example.org,info@example.org,team@example.org",
            "bert@example.org bert@example.org",
            "carl@example.net carl@example.net",
        )
        self.put(
            "virtuals",
            "anna@example.org vmail",
            "info@example.org anna@example.org",
            "bert@example.org vmail",
            "carl@example.net vmail",
            "team@example.org anna@example.org,o\\'neil@remote.example",
            "all@example.org .1,.2",
            "out@example.org carl@example.net.onward.invalid",
            "abuse@example.org carl@example.net",
            "postmaster@example.org anna@example.org",
            "@example.org anna@example.org",
            "root carl@example.net",
            ".1 anna@example.org,bert@example.org",
            ".2 x@remote.example",
        )

    def put(self, name, *lines):
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))

    def test_a_domain_has_its_accounts_with_hashes_quotas_and_aliases(self):
        tables = export_accounts.tables("example.org")
        self.assertEqual(
            tables.accounts.splitlines(),
            [
                "anna@example.org:{SHA512-CRYPT}$6$salt$hash::::::userdb_quota_rule=*:storage=500M userdb_send_as=team@example.org",
                "bert@example.org:{CRYPT}$y$j9T$salt$hash::::::",
            ],
        )
        self.assertEqual(
            tables.aliases.splitlines(),
            [
                "info@example.org anna@example.org",
                "team@example.org anna@example.org,o'neil@remote.example",
                "all@example.org anna@example.org,bert@example.org,x@remote.example",
                "out@example.org carl@example.net",
                "postmaster@example.org anna@example.org",
                "@example.org anna@example.org",
            ],
        )

    def test_system_users_have_the_passwords_of_the_system(self):
        (self.folder / "passwords").unlink()
        self.put("shadow", "root:*:1::::::", "anna:$6$salt$hash:19000:0:99999:7:::")
        self.put("identities", "anna anna@example.org")
        self.put("users")
        self.replace(export_accounts, SHADOW=self.folder / "shadow", accounts=lambda: {"anna": 1})
        self.assertEqual(
            export_accounts.tables("example.org").accounts, "anna@example.org:{SHA512-CRYPT}$6$salt$hash::::::\n"
        )

    def test_a_domain_that_is_not_here_is_refused(self):
        with self.assertRaisesRegex(Failure, "example.com is no domain of this host"):
            export_accounts.tables("example.com")


class User(OnHost):
    def test_an_account_is_found_by_its_address_or_as_a_system_user(self):
        self.replace(restore, accounts=lambda: {"anna": 1})
        self.assertEqual(restore.user_of("anna@example.org"), "anna")
        with self.assertRaisesRegex(Failure, "bert@example.org is no account"):
            restore.user_of("bert@example.org")


unittest.main()
