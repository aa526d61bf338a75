"""Pushes of a daemon that does what the test says."""

import pathlib

from mailhost import files, history, manifests, transaction
from on_host import OnHost


class Killed(BaseException):
    """Nothing after it is done, as nothing is after SIGKILL."""


class DaemonOfTest:
    name = "daemon"

    def __init__(self):
        self.restarts = []
        self.does = lambda: None
        self.judges = lambda: None

    def check(self, files, in_stage, owned):
        self.checked = files, in_stage, owned
        self.judges()

    def is_ready(self):
        return True

    def restart(self, changed):
        self.restarts.append(changed)
        does, self.does = self.does, lambda: None
        does()

    def stop(self):
        self.restarts.append("stopped")


class Pushes(OnHost):
    def setUp(self):
        super().setUp()
        state = self.folder / "state"
        self.replace(transaction, STATE=state, STAGING=self.folder / "staging")
        self.replace(manifests, OWNED=state / "manifest", PLAN=state / "plan")
        self.replace(history, FOLDER=state / "history")
        self.one, self.other, self.third = (str(self.folder / "etc" / name) for name in ("one", "other", "third"))
        self.daemon = DaemonOfTest()
        self.push({self.one: "1\n", self.other: "1\n"})

    def push(self, texts):
        return transaction.activate(self.daemon, self.files(texts))

    def files(self, texts):
        return {path: files.File("0644", "root:root", text) for path, text in texts.items()}

    def lying(self):
        folder = pathlib.Path(self.one).parent
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def raises(self, error):
        def does(*_, **__):
            raise error

        return does

    def cut_off(self, texts):
        """Pushes, and is killed while the daemon restarts."""
        going_back = transaction.go_back
        transaction.go_back = lambda _daemon: None
        self.addCleanup(setattr, transaction, "go_back", going_back)
        self.daemon.does = self.raises(Killed())
        with self.assertRaises(Killed):
            self.push(texts)
        transaction.go_back = going_back

    before = {"one": b"1\n", "other": b"1\n"}
