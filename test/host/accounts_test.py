"""Accounts as system users, on a host whose users the test makes up."""

import os
import pathlib
import tempfile
import types
import unittest
from unittest import mock

from mailhost.daemons import accounts
from mailhost.failure import Failure
from mailhost.files import File


class Users(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        base = pathlib.Path(folder.name)
        self.homes = base / "home"
        self.homes.mkdir()
        #: Of the system: user ID and home, by name.
        self.users = {"root": (0, "/root"), "daemon": (999, "/usr/sbin"), "nobody": (65534, "/nonexistent")}
        self.has_group = True
        #: What ran, with its standard input.
        self.ran = []
        for name, value in {
            "HOMES": str(self.homes),
            "NAMES": base / "system-users",
            "HASHES": base / "system-users.shadow",
            "pwd": types.SimpleNamespace(getpwall=self.all, getpwnam=self.named),
            "run": lambda *command, stdin=None: self.ran.append((command, stdin)),
            "succeeds": lambda *command: self.assertEqual(command, ("getent", "group", "mailusers")) or self.has_group,
        }.items():
            patch = mock.patch.object(accounts, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def all(self):
        return [
            types.SimpleNamespace(pw_name=name, pw_uid=uid, pw_dir=home) for name, (uid, home) in self.users.items()
        ]

    def named(self, name):
        return next(user for user in self.all() if user.pw_name == name) if name in self.users else {}[name]

    def add(self, name, uid):
        """A user whose account this host has."""
        self.users[name] = (uid, f"{self.homes}/{name}")

    def home(self, name, owner):
        """A home that came with the volume."""
        path = self.homes / name
        path.mkdir()
        os.chown(path, owner, -1)

    def check(self, *names):
        text = "".join(f"{name}\n" for name in names)
        accounts.Accounts().check({str(accounts.NAMES): File("0644", "root:root", text)}, self.ran.append, {})

    def apply(self, *names):
        accounts.NAMES.write_text("".join(f"{name}\n" for name in names))
        accounts.HASHES.write_text("".join(f"{name}:$6$hash\n" for name in names))
        self.ran.clear()
        accounts.Accounts().restart([])

    def added(self, name, uid):
        home = f"{self.homes}/{name}"
        return (
            "useradd", "--uid", str(uid), "--create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin",
            "--groups", "mailusers,vmail", name,
        )  # fmt: skip


class Check(Users):
    def test_refuses_names_that_useradd_does_not_take(self):
        self.check("a", "anna", "a.b_c-9", "a" * 31)
        for name in ("Anna", "9anna", "-anna", ".anna", "an/na", "an:na", "an\u00e4", "a" * 32):
            with self.subTest(name), self.assertRaisesRegex(Failure, f"^{name} is no name for a system user$"):
                self.check("bert", name)

    def test_refuses_the_names_of_users_that_are_no_accounts(self):
        self.add("anna", 1000)
        self.users["bert"] = (1001, "/home/bert")
        self.check("anna", "carl")
        with self.assertRaisesRegex(
            Failure, "^bert is a user of the system already: give the account another address$"
        ):
            self.check("carl", "anna", "bert")


class Planned(Users):
    def test_are_none_before_the_first_push(self):
        self.assertEqual(accounts.planned(), [])
        accounts.NAMES.write_text("anna\nbert\n")
        self.assertEqual(accounts.planned(), ["anna", "bert"])


class FreeNumber(Users):
    def test_begins_where_numbers_of_people_do(self):
        self.assertEqual(accounts.free_number(), 1000)

    def test_is_above_every_user_and_every_owner_of_a_home(self):
        self.add("anna", 1000)
        self.assertEqual(accounts.free_number(), 1001)
        self.home("bert", 1007)
        self.assertEqual(accounts.free_number(), 1008)
        self.users["last"] = (59999, "/home/last")
        self.assertEqual(accounts.free_number(), 60000)

    def test_is_not_above_the_numbers_of_the_system(self):
        self.users["reserved"] = (60000, "/")
        self.assertEqual(accounts.free_number(), 1000)


class Apply(Users):
    def test_makes_the_group_where_there_is_none(self):
        self.apply("anna")
        self.assertNotIn((("groupadd", "mailusers"), None), self.ran)
        self.has_group = False
        self.apply("anna")
        self.assertEqual(self.ran[0], (("groupadd", "mailusers"), None))

    def test_adds_users_and_sets_all_passwords(self):
        self.add("bert", 1000)
        self.apply("carl", "bert", "anna")
        self.assertEqual(
            self.ran,
            [
                (self.added("anna", 1001), None),
                (self.added("carl", 1001), None),
                (("chpasswd", "--encrypted"), "carl:$6$hash\nbert:$6$hash\nanna:$6$hash\n"),
            ],
        )

    def test_gives_a_home_back_to_the_number_that_owns_it(self):
        self.home("anna", 1234)
        self.apply("anna")
        self.assertEqual(self.ran[0][0], self.added("anna", 1234))

    def test_closes_accounts_that_are_no_longer_wanted_and_no_other_user(self):
        for uid, name in enumerate(("dora", "anna", "bert"), 1000):
            self.add(name, uid)
        self.users["mallory"] = (1010, f"{self.homes}-of-others/mallory")
        self.apply("bert")
        self.assertEqual(
            self.ran[1:],
            [(("usermod", "--password", "!", "anna"), None), (("usermod", "--password", "!", "dora"), None)],
        )


if __name__ == "__main__":
    unittest.main()
