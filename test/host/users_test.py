"""The system users that files on the volume belong to."""

import pathlib
import types
import unittest
from unittest import mock

from mailhost import users
from mailhost.failure import Failure
from on_host import OnHost

CONFIGURATION = pathlib.Path(__file__).parents[2] / "files/etc/sysusers.d/mailhost.conf"


def user(name, number):
    return types.SimpleNamespace(pw_name=name, pw_uid=number)


def group(name, number):
    return types.SimpleNamespace(gr_name=name, gr_gid=number)


class Users(OnHost):
    def setUp(self):
        super().setUp()
        self.users, self.groups = [user("root", 0)], [group("root", 0)]
        self.ran = mock.Mock()
        self.replace(users, CONFIGURATION=CONFIGURATION, run=self.ran)
        self.replace(users.pwd, getpwall=lambda: self.users)
        self.replace(users.grp, getgrall=lambda: self.groups)

    def test_have_the_numbers_that_their_files_on_a_volume_have(self):
        self.assertEqual(
            [(one.name, one.number, one.home) for one in users.planned()],
            [
                ("debian-spamd", 906, "/var/lib/spamassassin"),
                ("vmail", 5000, "/srv/mailhost/mail"),
                ("dovecot", 904, "/usr/lib/dovecot"),
                ("dovenull", 905, "/nonexistent"),
                ("amavis", 903, "/var/lib/amavis"),
                ("opensmtpd", 901, "/var/lib/opensmtpd/empty"),
                ("opensmtpq", 902, "/var/lib/opensmtpd/empty"),
                ("mailhost-probe", 907, "/srv/mailhost/home/mailhost-probe"),
                ("mailhost-reports", 908, "/srv/mailhost/home/mailhost-reports"),
            ],
        )

    def test_are_made_where_none_is_there_or_their_groups_are_alone(self):
        self.groups.append(group("vmail", 5000))
        users.create()
        self.ran.assert_called_once_with("systemd-sysusers", str(CONFIGURATION))

    def test_are_left_as_they_are(self):
        self.users.append(user("vmail", 5001))
        self.users.append(user("other", 5000))
        users.create()

    def test_get_no_other_number_where_another_has_theirs(self):
        self.users.append(user("other", 901))
        self.groups.append(group("others", 5000))
        with self.assertRaisesRegex(Failure, r"belong to others: 5000 \(others\), 901 \(other\)\. "):
            users.create()
        self.ran.assert_not_called()


if __name__ == "__main__":
    unittest.main()
