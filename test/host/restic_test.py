"""Commands about backups on a host that has none."""

import pathlib
import tempfile
import unittest
from unittest import mock

from mailhost import backup, commands, restic
from mailhost.failure import Failure


class WithoutBackupsTest(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(restic, "SETTINGS", (folder / "restic.env",)))

    def test_say_which_setting_is_missing_and_mail_nobody(self):
        notify = self.enterContext(mock.patch.object(backup, "notify_postmaster"))
        for run in (commands.run_backup, commands.run_snapshots):
            with self.assertRaisesRegex(Failure, "the setting backup is not set"):
                run(mock.Mock())
        notify.assert_not_called()


if __name__ == "__main__":
    unittest.main()
