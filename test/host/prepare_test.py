"""What becomes of a machine, with a volume and without."""

import os
import types
import unittest
from unittest import mock

from mailhost import manifests, prepare
from mailhost.failure import Failure
from mailhost.files import File
from on_host import OnHost

QUEUE = "/etc/systemd/system/var-spool-smtpd.mount"
VOLUME = "/etc/systemd/system/srv-mailhost.mount"
DEVICE = "/dev/disk/by-label/mail"


class Prepare(OnHost):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "srv"
        (self.folder / "os-release").write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="13"\n')
        (self.folder / "packages").write_text("")
        self.ran, self.put = mock.Mock(return_value=""), mock.Mock()
        self.mounted = False
        self.replace(manifests, OWNED=self.folder / "manifest", PLAN=self.folder / "plan")
        self.replace(
            prepare,
            ROOT=self.root,
            STATE=self.folder / "state",
            SYSTEM=self.folder / "os-release",
            run=self.ran,
            put=self.put,
            put_private=mock.Mock(),
            live=lambda path: None,
            install=mock.Mock(),
            check_file_system=mock.Mock(),
            withdraw=mock.Mock(),
            wanted=list,
            print=mock.Mock(),
        )
        self.replace(prepare.users, create=mock.Mock())
        self.replace(prepare.pathlib.Path, read_text=self.reading(prepare.pathlib.Path.read_text))
        self.device = 7
        path = types.SimpleNamespace(**{**vars(os.path), "ismount": lambda path: self.mounted})
        self.replace(prepare, os=types.SimpleNamespace(**{**vars(os), "path": path, "stat": self.stat}))

    def stat(self, _path):
        return types.SimpleNamespace(st_dev=7, st_rdev=self.device)

    def reading(self, read_text):
        """The list of packages comes with the files, which are not put."""
        return lambda path: "" if str(path) == "/etc/mailhost/packages" else read_text(path)

    def prepare(self, device):
        text = {"/etc/mailhost/pushes": "", "/etc/hostname": "mail.example.org\n", QUEUE: ""}
        text |= {VOLUME: ""} if device else {}
        prepare.prepare({path: File("0644", "root:root", t) for path, t in text.items()}, device)

    def enabled(self):
        return [call.args[-1] for call in self.ran.call_args_list if call.args[:2] == ("systemctl", "enable")]

    def test_without_a_device_has_the_mail_in_the_folder_and_the_queue_with_it(self):
        self.prepare(None)
        self.assertTrue((self.root / "queue").is_dir())
        self.assertIn("var-spool-smtpd.mount", self.enabled())
        self.assertNotIn("srv-mailhost.mount", self.enabled())
        self.assertNotIn(prepare.DEVICE, [call.args[0] for call in self.put.call_args_list])
        self.assertNotIn("resize2fs", [call.args[0] for call in self.ran.call_args_list])
        self.assertEqual(prepare.mounts(), ["var-spool-smtpd.mount"])

    def test_without_a_device_leaves_mail_that_is_there(self):
        self.prepare(None)
        (self.root / "mail").mkdir()
        self.prepare(None)
        self.assertTrue((self.root / "mail").is_dir())

    def test_with_a_device_mounts_it_before_the_queue(self):
        self.prepare(DEVICE)
        units = [unit for unit in self.enabled() if unit.endswith(".mount")]
        self.assertEqual(units, ["srv-mailhost.mount", "var-spool-smtpd.mount"])
        [drop_in] = [call.args[1] for call in self.put.call_args_list if call.args[0] == prepare.DEVICE]
        self.assertEqual(drop_in.text, f"[Mount]\nWhat={DEVICE}\n")
        self.ran.assert_any_call("resize2fs", DEVICE)
        self.assertEqual(prepare.mounts(), ["srv-mailhost.mount", "var-spool-smtpd.mount"])

    def test_does_not_take_the_volume_from_mail_that_is_on_it(self):
        self.prepare(DEVICE)
        self.mounted = True
        self.ran.reset_mock()
        with self.assertRaisesRegex(Failure, "set machine.volumeDevice again"):
            self.prepare(None)
        self.ran.assert_not_called()

    def test_hides_no_mail_below_a_volume(self):
        self.prepare(None)
        self.ran.reset_mock()
        with self.assertRaisesRegex(Failure, f"{DEVICE} would hide the mail"):
            self.prepare(DEVICE)
        self.ran.assert_not_called()
        # Its own mount may be that device, which the next step finds out.
        self.mounted = True
        self.prepare(DEVICE)

    def test_takes_another_volume_for_none(self):
        self.device = 8
        with self.assertRaisesRegex(Failure, "is another volume than"):
            self.prepare(DEVICE)

    def test_closes_the_metadata_service(self):
        self.prepare(None)
        self.assertIn("metadata-guard.service", self.enabled())

    def test_touches_no_other_system(self):
        for system in ('ID=ubuntu\nVERSION_ID="24.04"', 'ID=debian\nVERSION_ID="12"', "ID=debian"):
            (self.folder / "os-release").write_text(system)
            with self.assertRaisesRegex(Failure, "the mail host needs Debian 13"):
                self.prepare(None)
        self.ran.assert_not_called()
        self.put.assert_not_called()


if __name__ == "__main__":
    unittest.main()
