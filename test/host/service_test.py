"""Waiting for a service that has been started, and listens nowhere."""

import unittest
from unittest import mock

from mailhost.daemons.daemon import Service
from mailhost.failure import Failure

MODULE = "mailhost.daemons.daemon"


class WaitTest(unittest.TestCase):
    def wait(self, is_active: bool):
        service = mock.Mock(unit="silent.service", endpoints=[])
        service.check_running = lambda: Service.check_running(service)
        self.enterContext(mock.patch(f"{MODULE}.is_active", return_value=is_active))
        self.enterContext(mock.patch(f"{MODULE}.journal", return_value="its last words"))
        Service.wait(service)

    def test_fails_where_it_ended(self):
        with self.assertRaisesRegex(Failure, "silent.service ended:\nits last words"):
            self.wait(is_active=False)

    def test_ends_at_once_where_it_runs(self):
        self.wait(is_active=True)


if __name__ == "__main__":
    unittest.main()
