"""What tests of the host program share."""

import pathlib
import tempfile
import unittest
from unittest import mock


class OnHost(unittest.TestCase):
    """With files of its own in the place of the host's."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def replace(self, module, **others):
        for name, other in others.items():
            self.enterContext(mock.patch.object(module, name, other, create=name == "print"))
