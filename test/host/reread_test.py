"""What a push does of which only files change that a daemon takes over while it runs."""

import contextlib
import pathlib
import unittest

from mailhost import manifests, transaction
from mailhost.daemons import daemon, dovecot, opensmtpd
from mailhost.failure import Failure
from mailhost.specs import SPECS
from on_host import Clock, OnHost

SMTPD = "/etc/smtpd"
USERS, LOGINS, PASSWORDS = dovecot.USERS, dovecot.LOGINS, dovecot.PASSWORDS


class Rereading(OnHost):
    def setUp(self):
        super().setUp()
        self.ran, self.runs, self.fails = [], True, ()
        self.replace(
            daemon,
            run=self.run_command,
            restart_unit=lambda unit: self.ran.append(("restart", unit)),
            is_active=lambda _: self.runs,
            is_enabled=lambda _: True,
            answers=lambda *_: True,
        )

    def run_command(self, *command):
        self.ran.append(command)
        if command in self.fails:
            raise Failure("no")
        return ""

    @property
    def restarts(self):
        return [unit for command, unit, *_ in self.ran if command == "restart"]


class OpenSmtpd(Rereading):
    def setUp(self):
        super().setUp()
        self.replace(opensmtpd, run=self.run_command)
        # How it drains is in pauses_test.py.
        self.replace(opensmtpd.OpenSmtpd, restart_service=lambda one: self.ran.append(("restart", one.unit)))
        self.daemon = opensmtpd.OpenSmtpd()

    def updated(self, *names):
        self.daemon.restart([f"{SMTPD}/{name}" for name in names])
        return [command[3] for command in self.ran if command[:3] == ("smtpctl", "update", "table")]

    def test_updates_the_tables_in_an_order_in_which_no_address_leads_nowhere(self):
        names = ["credentials", "domains", "elsewhere", "identities", "logins", "onward", "recipients", "virtuals"]
        self.assertEqual(
            self.updated(*names), ["onward", "virtuals", "credentials", "elsewhere", "domains", "recipients"]
        )
        self.assertEqual(self.restarts, [])

    def test_asks_for_no_table_that_only_its_filters_read(self):
        self.assertEqual(self.updated("identities"), [])
        self.assertEqual(self.restarts, [])

    def test_reads_the_credentials_again_for_another_name_of_a_login(self):
        self.assertEqual(self.updated("logins"), ["credentials"])

    def test_restarts_where_anything_else_changes(self):
        for others in (["scanners"], ["smarthost"], []):
            with self.subTest(others=others):
                self.ran.clear()
                changed = ["virtuals", *others] if others else []
                self.assertEqual(self.updated(*changed), [])
                self.assertEqual(self.restarts, ["opensmtpd"])

    def test_restarts_where_it_does_not_run(self):
        self.runs = False
        self.assertEqual(self.updated("virtuals"), [])
        self.assertEqual(self.restarts, ["opensmtpd"])

    def test_fails_where_a_table_is_not_taken(self):
        self.fails = [("smtpctl", "update", "table", "virtuals")]
        with self.assertRaises(Failure):
            self.updated("virtuals", "recipients")

    def test_names_tables_of_its_configuration_alone(self):
        template = pathlib.Path(__file__).parents[2] / "files/etc/smtpd.conf.hbs"
        for table in opensmtpd.TABLES:
            self.assertRegex(template.read_text(), rf"(?m)^table {table} \w+:{SMTPD}/{table}$")
        known = {f"{SMTPD}/{name}" for name in (*opensmtpd.TABLES, "identities", "logins")}
        self.assertEqual({*SPECS["opensmtpd"].rereads}, known)


BEFORE = {
    USERS: "a@x:::::/m/a::userdb_quota_storage_size=1M\nb@x:::::/m/b\n",
    LOGINS: "a@x:::::::user=a@x noauthenticate\nb@x:::::::user=b@x noauthenticate\n",
    PASSWORDS: "a@x:{CRYPT}1\nb@x:{CRYPT}2\n",
}


class Dovecot(Rereading):
    """A Dovecot that knows what `known` has, whatever lies in the files."""

    def setUp(self):
        super().setUp()
        self.replace(dovecot, time=Clock(), run=self.doveadm, succeeds=lambda *command: self.succeeds(*command))
        self.replace(dovecot.folders, to_convert=list)
        self.replace(dovecot.pauses, delivery_paused=contextlib.nullcontext)
        self.replace(dovecot, text_before=lambda _, path: BEFORE[path])
        self.texts = dict(BEFORE)
        self.replace(dovecot.pathlib.Path, read_text=lambda path: self.texts[str(path)])
        self.replace(dovecot.pathlib.Path, exists=lambda path: str(path) in self.texts)
        self.known = None
        self.kicked = []

    def succeeds(self, *command):
        known = self.known or self.texts
        if command[:2] == ("doveadm", "kick"):
            self.kicked.append(command[2])
            return True
        path = USERS if command[1] == "user" else LOGINS
        return command[-1] in dovecot.entries(known[path])

    def doveadm(self, *command):
        line = dovecot.entries((self.known or self.texts)[USERS]).get(command[-1], "")
        return line.partition("userdb_quota_storage_size=")[2] + "\n"

    def changed(self, **texts):
        paths = {"users": USERS, "logins": LOGINS, "passwords": PASSWORDS}
        self.texts |= {paths[name]: text for name, text in texts.items()}
        dovecot.Dovecot().restart([paths[name] for name in texts])
        self.assertEqual(self.restarts, [])

    def test_ends_no_session_for_an_account_more_an_alias_or_a_quota(self):
        self.changed(
            users=BEFORE[USERS].replace("1M", "2M") + "c@x:::::/m/c\n",
            logins=BEFORE[LOGINS] + "c@x:::::::user=c@x noauthenticate\ninfo@x:::::::user=a@x noauthenticate\n",
            passwords=BEFORE[PASSWORDS] + "c@x:{CRYPT}3\n",
        )
        self.assertEqual(self.kicked, [])

    def test_ends_the_sessions_of_another_password_and_of_an_account_that_is_removed(self):
        self.changed(passwords=BEFORE[PASSWORDS].replace("{CRYPT}1", "{CRYPT}9"))
        self.assertEqual(self.kicked, ["a@x"])
        self.changed(**{name: "".join(BEFORE[path].splitlines(True)[:1]) for name, path in
                        (("users", USERS), ("logins", LOGINS), ("passwords", PASSWORDS))})  # fmt: skip
        self.assertEqual(self.kicked, ["a@x", "b@x"])

    def test_ends_the_sessions_of_a_system_user_that_is_no_account_any_more(self):
        del self.texts[PASSWORDS]
        self.succeeds = lambda *command: command[:2] != ("doveadm", "kick") or self.kicked.append(command[2]) or True
        self.changed(logins=BEFORE[LOGINS].splitlines(True)[0])
        self.assertEqual(self.kicked, ["b@x"])

    def test_fails_where_it_goes_on_with_what_was_before(self):
        for name, text in (
            ("users", BEFORE[USERS].replace("1M", "2M")),
            ("users", BEFORE[USERS] + "c@x:::::/m/c\n"),
            ("users", ""),
            ("logins", BEFORE[LOGINS] + "c@x:::::::user=c@x noauthenticate\n"),
            ("logins", ""),
        ):
            with self.subTest(name, text=text):
                self.texts, self.known = dict(BEFORE), BEFORE
                with self.assertRaisesRegex(Failure, f"does not know .@x as /etc/dovecot/{name} has it"):
                    self.changed(**{name: text})

    def test_waits_until_it_looks_at_its_files_again(self):
        clock = dovecot.time
        clock.now += 0.3
        self.changed(users=BEFORE[USERS])
        self.assertEqual(clock.now % 1, 0)

    def test_restarts_where_anything_else_changes(self):
        self.replace(dovecot.os, listdir=lambda path: [])
        dovecot.Dovecot().restart([USERS, "/etc/dovecot/dovecot.conf"])
        self.assertEqual(self.restarts, ["dovecot"])


class TextBefore(OnHost):
    def test_is_that_of_a_push_that_has_not_ended(self):
        self.replace(transaction, STATE=self.folder / "state")
        self.replace(manifests, OWNED=self.folder / "owned", PLAN=self.folder / "plan")
        path = self.folder / "file"
        path.write_text("1")
        one = dovecot.Dovecot()
        transaction.announce(one, [str(path), str(self.folder / "new")])
        transaction.keep(one)
        path.unlink()
        path.write_text("2")
        self.assertEqual(transaction.text_before(one, str(path)), "1")
        self.assertIsNone(transaction.text_before(one, str(self.folder / "new")))
        self.assertIsNone(transaction.text_before(one, str(self.folder / "other")))


if __name__ == "__main__":
    unittest.main()
