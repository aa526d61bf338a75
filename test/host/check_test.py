"""What the check of a host finds."""

import unittest
from unittest import mock

from mailhost import check


class CheckTest(unittest.TestCase):
    def test_checks_no_host_in_the_name_of_another(self):
        with mock.patch.object(check, "host_name", lambda: "mail.example.org"):
            self.assertEqual(list(check.own_name("mail.example.org")), [])
            [reason] = check.own_name("mail.example.net")
        self.assertEqual(reason, "this host is mail.example.org, and mail.example.net was to be checked")


if __name__ == "__main__":
    unittest.main()
