"""What tests of the host program share."""

import pathlib
import tempfile
import time
import unittest
from unittest import mock


class OnHost(unittest.TestCase):
    """With files of its own in the place of the host's."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def replace(self, module, **others):
        for name, other in others.items():
            self.enterContext(mock.patch.object(module, name, other, create=name == "print"))


class Clock:
    """Time that passes where somebody waits."""

    def __init__(self, now=1_000_000):
        self.now = now

    def time(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0, seconds
        self.now += seconds

    def __getattr__(self, name):
        return getattr(time, name)
