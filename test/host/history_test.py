"""The history of a daemon, as an operator sees it."""

import contextlib
import io
import pathlib
import tempfile
import unittest
from unittest import mock

from mailhost import history
from mailhost.files import File


class HistoryTest(unittest.TestCase):
    def test_names_what_differs_and_says_where_nothing_does(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(history, "FOLDER", pathlib.Path(folder) / "h"):
            for text in ("1\n", "2\n", "1\n"):
                history.remember("daemon", {"/etc/one": File("0644", "root:root", text)})
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                history.tell("daemon")
        words = [line.split("  ")[-1] for line in output.getvalue().splitlines()]
        self.assertEqual(words, ["daemon", "in force", "differs in /etc/one", "as in force"])


if __name__ == "__main__":
    unittest.main()
