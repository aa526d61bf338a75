"""Pushes that fail, are ended or are killed, of a daemon that does what the test says."""

import os
import pathlib
import stat
import sys
import unittest
from unittest import mock

from mailhost import files, history, manifests, transaction
from mailhost.failure import Failure
from pushes import DaemonOfTest, Killed, Pushes


class Transaction(Pushes):
    def test_removes_what_it_owned_and_has_no_longer(self):
        self.push({self.one: "2\n"})
        self.assertEqual(self.lying(), {"one": b"2\n"})

    def test_restarts_for_what_has_changed_alone(self):
        self.daemon.restarts.clear()
        self.assertEqual(self.push({self.one: "1\n", self.other: "1\n"}), "daemon: nothing to change")
        self.assertEqual(self.daemon.restarts, [])
        self.push({self.one: "2\n", self.other: "1\n"})
        self.push({self.one: "2\n"})
        self.assertEqual(self.daemon.restarts, [[self.one], [self.other]])
        self.daemon.is_ready = lambda: False
        self.push({self.one: "2\n"})
        self.assertEqual(self.daemon.restarts[2:], [[]])

    def test_goes_back_where_the_daemon_does_not_run(self):
        self.daemon.does = self.raises(Failure("no room"))
        with self.assertRaises(Failure) as caught:
            self.push({self.one: "2\n", self.third: "2\n"})
        self.assertEqual(
            str(caught.exception),
            "daemon does not run with its new files; the files from before are back, and so is the daemon.\nno room",
        )
        self.assertEqual(self.lying(), self.before)

    def test_goes_back_on_a_disk_that_is_full(self):
        def fills_up():
            def full(*_):
                raise OSError(28, "No space left on device")

            self.addCleanup(setattr, files, "write_beside", files.write_beside)
            files.write_beside = transaction.write_beside = full
            self.addCleanup(setattr, transaction, "write_beside", writing)
            raise Failure("no room")

        writing = transaction.write_beside
        self.daemon.does = fills_up
        with self.assertRaisesRegex(Failure, "and so is the daemon"):
            self.push({self.one: "2\n"})
        self.assertEqual(self.lying(), self.before)

    def test_goes_back_where_it_is_ended(self):
        self.daemon.does = self.raises(SystemExit(143))
        with self.assertRaises(SystemExit):
            self.push({self.one: "2\n"})
        self.assertEqual(self.lying(), self.before)
        self.assertEqual(transaction.unended([self.daemon]), [])

    def test_goes_back_where_nobody_is_left_to_be_told(self):
        reading, writing = os.pipe()
        self.addCleanup(setattr, sys, "__stdout__", sys.__stdout__)
        with os.fdopen(writing, "w") as sys.__stdout__:
            self.push({self.one: "2\n", self.other: "1\n"})
            os.close(reading)
            with self.assertRaisesRegex(
                Failure, "\nwhoever asked for it is gone, and would not know that it is in force$"
            ):
                self.push({self.one: "3\n", self.other: "1\n"})
        self.assertEqual(self.lying(), {"one": b"2\n", "other": b"1\n"})

    def test_leaves_nothing_where_it_was_killed_before_it_changed_anything(self):
        def writes_and_is_killed(*file):
            files.write_beside(*file)
            raise Killed

        with mock.patch.object(transaction, "write_beside", writes_and_is_killed), self.assertRaises(Killed):
            self.push({self.one: "2\n", self.third: "2\n"})
        for daemon in transaction.unended([self.daemon]):
            transaction.put_back(daemon)
        self.assertEqual(self.lying(), self.before)

    def test_forgets_the_configuration_of_a_push_that_was_killed_at_its_end(self):
        past, owned = history.entries("daemon"), manifests.owned("daemon")
        forgetting = transaction.forget
        self.addCleanup(setattr, transaction, "forget", forgetting)
        # announce() calls it before, settle() comes after that.
        ends = iter([forgetting, self.raises(Killed())])
        transaction.forget = lambda daemon: next(ends)(daemon)
        with self.assertRaises(Killed):
            self.push({self.one: "2\n", self.other: "1\n"})
        transaction.forget = forgetting
        transaction.go_back(self.daemon)
        self.assertEqual(history.entries("daemon"), past)
        self.assertEqual((manifests.owned("daemon"), manifests.planned("daemon")), (owned, owned))
        self.assertEqual(self.daemon.restarts[-1], [self.one])

    def test_leaves_what_a_killed_push_needs_to_be_undone(self):
        self.cut_off({self.one: "2\n", self.third: "2\n"})
        self.assertEqual(self.lying(), {"one": b"2\n", "third": b"2\n"})
        self.assertEqual(transaction.unended([self.daemon]), [self.daemon])
        transaction.go_back(self.daemon)
        self.assertEqual(self.lying(), self.before)
        self.assertEqual(transaction.unended([self.daemon]), [])
        self.assertEqual({*manifests.owned("daemon")}, {self.one, self.other})

    def test_is_undone_also_where_undoing_was_killed(self):
        self.cut_off({self.one: "2\n", self.other: "2\n"})
        replacing = os.replace
        self.addCleanup(setattr, os, "replace", replacing)

        def once(*paths):
            replacing(*paths)
            raise Killed

        os.replace = once
        with self.assertRaises(Killed):
            transaction.put_back(self.daemon)
        os.replace = replacing
        transaction.put_back(self.daemon)
        self.assertEqual(self.lying(), self.before)

    def test_stops_a_daemon_that_had_no_files(self):
        self.daemon = DaemonOfTest()
        self.daemon.name = "new"
        self.daemon.does = self.raises(Failure("no"))
        with self.assertRaisesRegex(Failure, "; it had no files before, and is stopped\\.\n"):
            self.push({self.third: "1\n"})
        self.assertEqual(self.lying(), self.before)

    def test_puts_right_what_others_wrote(self):
        with open(self.one, "ab") as file:
            file.write(b"# M\xfcller\n")
        os.chown(self.other, 54321, 54321)
        self.daemon.does = self.raises(Failure("no"))
        with self.assertRaises(Failure):
            self.push({self.one: "1\n", self.other: "1\n"})
        self.assertEqual(self.lying(), {"one": b"1\n# M\xfcller\n", "other": b"1\n"})
        self.assertEqual(os.stat(self.other).st_uid, 54321)
        self.push({self.one: "1\n", self.other: "1\n"})
        self.assertEqual(self.lying(), self.before)
        self.assertEqual(os.stat(self.other).st_uid, 0)

    def test_takes_a_link_for_no_file_of_its_own(self):
        os.rename(self.one, self.third)
        os.symlink(self.third, self.one)
        self.push({self.one: "1\n", self.other: "1\n"})
        self.assertFalse(os.path.islink(self.one))

    def test_leaves_no_secret_in_memory_where_it_cannot_write(self):
        os.mkdir(self.third)
        with self.assertRaisesRegex(Failure, "nothing was changed"):
            self.push({self.third: "secret\n"})
        self.assertFalse(transaction.STAGING.exists())
        os.rmdir(self.third)
        self.assertEqual(self.lying(), self.before)

    def test_keeps_staged_secrets_until_others_are_in_force(self):
        for tag in ("a", "b"):
            files.put_private(transaction.staged_path("daemon", tag), "{}")
        one = {self.one: files.File("0644", "root:root", "2\n")}
        self.daemon.judges = self.raises(Failure("no"))
        with self.assertRaises(Failure):
            transaction.activate(self.daemon, one, secrets="b")
        self.assertEqual(len(transaction.staged_paths("daemon")), 2)
        self.daemon.judges = lambda: None
        transaction.activate(self.daemon, one, secrets="b")
        self.assertEqual(transaction.staged_paths("daemon"), [transaction.staged_path("daemon", "b")])
        files.put_private(transaction.staged_path("daemon", "c"), "{}")
        transaction.activate(self.daemon, one, secrets="c")
        self.assertEqual(transaction.staged_paths("daemon"), [transaction.staged_path("daemon", "c")])

    def test_tells_what_it_did(self):
        self.assertEqual(
            self.push({self.one: "2\n", self.third: "2\n"}), f"daemon: {self.one}, {self.third}, {self.other}"
        )
        self.daemon.is_ready = lambda: False
        self.assertEqual(self.push({self.one: "2\n", self.third: "2\n"}), "daemon: restarted")

    def test_remembers_what_ran_well(self):
        pushed = self.files({self.one: "2\n"})
        transaction.activate(self.daemon, pushed)
        self.assertEqual(history.read(history.entries("daemon")[0]), pushed)

    def test_tells_what_is_in_force_from_what_the_plan_asked_for(self):
        first, second = self.files({self.one: "1\n"}), self.files({self.one: "2\n"})
        transaction.activate(self.daemon, first)
        for pushed in (second, second, first, first):
            transaction.activate(self.daemon, pushed, of_plan=False)
            self.assertEqual(manifests.owned("daemon"), manifests.described(pushed))
            self.assertEqual(manifests.planned("daemon"), manifests.described(first))
        transaction.activate(self.daemon, second, of_plan=False)
        transaction.activate(self.daemon, second)
        self.assertEqual(manifests.planned("daemon"), manifests.described(second))

    def test_has_the_new_files_judged_where_nobody_else_reads_them(self):
        stage = transaction.STAGING / "daemon"

        def judges():
            self.assertEqual(stat.S_IMODE(transaction.STAGING.stat().st_mode), 0o700)
            self.assertEqual(pathlib.Path(f"{stage}{self.one}").read_text(), "2\n")
            gone = os.stat(f"{stage}{self.other}")
            self.assertEqual((stat.S_IFMT(gone.st_mode), gone.st_rdev), (stat.S_IFCHR, 0))

        self.daemon.judges = judges
        # Of a push that was killed.
        (stage / "etc").mkdir(parents=True)
        owned = manifests.owned("daemon")
        self.push({self.one: "2\n"})
        self.assertEqual((self.daemon.checked[0], self.daemon.checked[2]), (self.files({self.one: "2\n"}), owned))
        self.assertFalse(transaction.STAGING.exists())

    def test_keeps_the_files_from_before_where_nobody_else_reads_them(self):
        def looks():
            self.assertEqual(stat.S_IMODE(transaction.kept_in(self.daemon).stat().st_mode), 0o700)

        self.daemon.does = looks
        self.push({self.one: "2\n", self.other: "1\n"})

    def test_brings_a_link_back_as_a_link(self):
        os.rename(self.one, self.third)
        os.symlink(self.third, self.one)
        self.daemon.does = self.raises(Failure("no"))
        with self.assertRaises(Failure):
            self.push({self.one: "2\n", self.other: "1\n"})
        self.assertEqual(os.readlink(self.one), self.third)

    def test_clears_away_what_it_wrote_where_it_cannot_write_all(self):
        def fills_up(path, file):
            if path == self.third:
                raise OSError(28, "No space left on device")
            files.write_beside(path, file)

        with mock.patch.object(transaction, "write_beside", fills_up), self.assertRaises(Failure) as caught:
            self.push({self.one: "2\n", self.third: "2\n"})
        self.assertEqual(
            str(caught.exception),
            "daemon: its files cannot be written ([Errno 28] No space left on device); nothing was changed",
        )
        self.assertEqual(self.lying(), self.before)
        self.assertEqual(transaction.unended([self.daemon]), [])

    def test_is_not_undone_where_it_was_killed_while_it_forgot_what_was_before(self):
        self.cut_off({self.one: "2\n", self.other: "1\n"})
        with mock.patch.object(transaction.shutil, "rmtree", self.raises(Killed())), self.assertRaises(Killed):
            transaction.forget(self.daemon)
        self.assertEqual(transaction.unended([self.daemon]), [])

    def test_judges_by_a_command_that_sees_the_new_files_in_their_place(self):
        ran = []
        self.push({self.one: "2\n"})
        in_stage = self.daemon.checked[1]
        with mock.patch.object(transaction, "run", lambda *command: ran.append(command) or "words"):
            self.assertEqual(in_stage("smtpd", "-n"), "words")
            paths = dict.fromkeys(("/usr/a", "/etc/b", "/etc/c/d"))
            transaction.in_stage(pathlib.Path("/stage"), paths, ("smtpd", "-n"))
        root = self.one.split("/")[1]
        self.assertIn(f"lowerdir={transaction.STAGING}/daemon/{root}:/{root} /{root} && exec", ran[0][6])
        self.assertEqual(
            ran[1],
            (
                "unshare", "--mount", "--propagation", "private", "sh", "-c",
                "mount -t overlay overlay -o ro,lowerdir=/stage/etc:/etc /etc && "
                'mount -t overlay overlay -o ro,lowerdir=/stage/usr:/usr /usr && exec "$@"',
                "sh", "smtpd", "-n",
            ),
        )  # fmt: skip

    def test_names_the_command_that_refuses_the_new_files_and_its_words(self):
        failing = self.raises(Failure("unshare --mount failed:\nline 3\nline 4"))
        with mock.patch.object(transaction, "run", failing), self.assertRaises(Failure) as caught:
            transaction.in_stage(pathlib.Path("/stage"), {"/etc/b": {}}, ("smtpd", "-n"))
        self.assertEqual(
            str(caught.exception), "`smtpd -n` refuses the new files; nothing was changed.\nline 3\nline 4"
        )

    def test_withdraws_a_daemon_with_all_that_was_pushed_for_it(self):
        ran = []
        files.put_private(transaction.staged_path("daemon", "a"), "{}")
        os.unlink(self.other)
        with mock.patch.object(transaction, "run", lambda *command: ran.append(command)):
            transaction.withdraw(self.daemon)
            transaction.withdraw(self.daemon)
        self.assertEqual((self.daemon.restarts[1:], ran), (["stopped"], [("systemctl", "daemon-reload")]))
        self.assertEqual((self.lying(), manifests.owned("daemon"), manifests.planned("daemon")), ({}, {}, {}))
        self.assertEqual((history.entries("daemon"), transaction.staged_paths("daemon")), ([], []))


if __name__ == "__main__":
    unittest.main()
