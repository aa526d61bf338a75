"""The host program, put in place on a host that has none, or another version."""

import getpass
import grp
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

from mailhost import manifests
from mailhost.files import File

SOURCE = (pathlib.Path(__file__).parents[2] / "files/bootstrap.py").read_text()
OWNER = f"{getpass.getuser()}:{grp.getgrgid(os.getgid()).gr_name}"


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def push(self, **texts):
        files = {str(self.path(name)): {"mode": "0640", "owner": OWNER, "text": text} for name, text in texts.items()}
        source = SOURCE.replace("/var/lib/mailhost", str(self.base / "state"))
        #: As the host program would have it.
        self.plan = manifests.described({path: File(**file) for path, file in files.items()})
        subprocess.run([sys.executable, "-c", source], input=json.dumps(files), text=True, check=True)

    def path(self, name):
        return self.base / "lib" / name / "module.py"

    def test_puts_each_file_in_place(self):
        self.push(one="1", other="2")
        self.push(one="3", other="2")
        self.assertEqual([self.path(name).read_text() for name in ("one", "other")], ["3", "2"])
        self.assertEqual(stat.S_IMODE(self.path("one").stat().st_mode), 0o640)
        self.assertEqual(manifests.read(self.base / "state/plan/program.json"), self.plan)

    def test_removes_what_the_program_has_no_longer(self):
        self.push(one="1", other="2")
        strange = self.path("strange")
        strange.parent.mkdir()
        strange.touch()
        self.push(one="1")
        self.assertFalse(self.path("other").exists())
        self.assertTrue(self.path("one").exists() and strange.exists())

    def test_has_no_sign_that_a_shell_would_take_for_the_end_of_it(self):
        self.assertNotIn("'", SOURCE)


if __name__ == "__main__":
    unittest.main()
