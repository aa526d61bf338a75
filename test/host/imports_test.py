"""Copies of mailboxes: what is told apart, where folders go, and what is remembered."""

import pathlib
import tempfile
import unittest
from unittest import mock

from mailhost.failure import Failure
from mailhost.imports import lately, memory, wire
from mailhost.imports.copying import Copy
from mailhost.imports.mailbox import Full
from mailhost.imports.memory import Memory
from mailhost.imports.messages import Entry, Folder, Listing, Message, batches, name_of, uid_set, uids_in
from mailhost.imports.names import targets
from mailhost.imports.report import compare


def entry(name, size=10, *flags):
    return Entry(name, size, frozenset(flags))


class Wire(unittest.TestCase):
    def test_answers_of_fetch_with_items_before_and_after_a_literal(self):
        data = [
            (b"1 (UID 7 FLAGS (\\Seen $A) RFC822.SIZE 20 BODY[HEADER.FIELDS (X)] {24}", b"Message-ID: <a@example>\r\n"),
            b")",
            (b"2 (BODY[] {3}", b"x\r\n"),
            b' UID 8 INTERNALDATE "01-Feb-2021 10:00:00 +0100" FLAGS (\\Recent))',
            b"3 (UID 9 FLAGS ())",
        ]
        first, second, third = wire.answers(data)
        self.assertEqual(wire.entry_in(*first), (7, entry("<a@example>", 20, "\\Seen", "$A")))
        self.assertEqual(wire.message_in(*second), (8, Message(frozenset(), "01-Feb-2021 10:00:00 +0100", b"x\r\n")))
        self.assertIsNone(wire.message_in(*third))

    def test_names_of_folders_in_each_form(self):
        self.assertEqual(wire.listed(b'(\\Sent) "." INBOX.Sent'), ({"\\Sent"}, ".", "INBOX.Sent"))
        self.assertEqual(wire.listed(b'() NIL "a \\"b\\" \\\\c"'), (set(), None, 'a "b" \\c'))
        self.assertEqual(wire.listed((b'() "/" {3}', b'a"b')), (set(), "/", 'a"b'))
        self.assertEqual(wire.quoted('a "b" \\c'), '"a \\"b\\" \\\\c"')

    def test_flags_that_cannot_be_set_are_left_out(self):
        self.assertEqual(wire.flags_in("FLAGS (\\Recent \\Seen Junk ü])"), {"\\Seen", "Junk"})


class Messages(unittest.TestCase):
    def test_a_message_id_names_it_however_it_is_folded(self):
        self.assertEqual(name_of(b"Subject: x\r\nmessage-id:\r\n <a@example>\r\n\r\n"), "<a@example>")

    def test_without_one_its_other_headers_do_in_any_order(self):
        one, other = name_of(b"From: a\r\nSubject: x\r\n"), name_of(b"Subject: x\r\nFrom:  a\r\n")
        self.assertEqual(one, other)
        self.assertNotEqual(one, name_of(b"From: a\r\nSubject: y\r\n"))
        self.assertTrue(name_of(b"").startswith("sha256:"))

    def test_numbers_as_a_set(self):
        self.assertEqual(uid_set([9, 1, 2, 3]), "1:3,9")
        self.assertEqual(uids_in("4:6,2"), [4, 5, 6, 2])

    def test_a_batch_ends_at_its_octets_and_a_message_that_is_larger_is_one(self):
        entries = {1: entry("a", 5 << 20), 2: entry("b", 5 << 20), 3: entry("c", 90 << 20), 4: entry("d", 1)}
        self.assertEqual([*batches(entries, entries)], [[1], [2], [3], [4]])


class Names(unittest.TestCase):
    def of(self, *folders, given=None):
        return {folder.name: target for folder, target in targets(folders, given or {})}

    def test_by_use_and_where_the_server_names_none_by_name(self):
        self.assertEqual(
            self.of(
                Folder("A", ("Gesendet",), "\\Sent"),
                Folder("B", ("Gelöschte Elemente",)),
                Folder("C", ("Sent Items",)),
                Folder("D", ("inbox",)),
                Folder("E", ("Arbeit", "Entwürfe")),
            ),
            {"A": "Sent", "B": "Trash", "C": "Sent Items", "D": "INBOX", "E": "Arbeit/Entwürfe"},
        )

    def test_a_name_with_the_separator_of_this_host_stays_one_part_and_one_folder(self):
        self.assertEqual(
            self.of(Folder("A", ("v1_2",)), Folder("B", ("v1/2",)), Folder("C", ("a.b", "c"))),
            {"A": "v1_2", "B": "v1_2_", "C": "a.b/c"},
        )

    def test_views_are_left_out_and_all_messages_come_last(self):
        folders = [
            Folder("All", ("[Gmail]", "Alle Nachrichten"), "\\All"),
            Folder("Star", ("[Gmail]", "Markiert"), "\\Flagged"),
            Folder("Work", ("Work",)),
            Folder("INBOX", ("INBOX",)),
        ]
        self.assertEqual([*self.of(*folders).items()], [("INBOX", "INBOX"), ("Work", "Work"), ("All", "Archive")])

    def test_the_operator_has_the_last_word(self):
        folders = [Folder("X", ("Verzonden",)), Folder("Y", ("Spam",)), Folder("Z", ("Old",))]
        given = {"Verzonden": "Sent", "Spam": "", "Old": "Sent"}
        self.assertEqual(self.of(*folders, given=given), {"X": "Sent", "Z": "Sent"})


class Here:
    """A mailbox of this host, in memory."""

    account = "anna@example.org"

    def __init__(self):
        self.boxes = {"INBOX": {}, "Archive": {}}
        self.next = 1
        self.limit = None
        self.refuses = ()

    def folders(self):
        return dict.fromkeys(self.boxes)

    def create(self, name):
        self.boxes[name] = {}

    def subscribe(self, name):
        pass

    def open(self, name):
        self.opened = name

    def listing(self, name):
        if name not in self.boxes:
            raise Failure("[NONEXISTENT]")
        return Listing(1, {uid: one for uid, (one, _) in self.boxes[name].items()})

    def append(self, name, messages):
        if any(message.text in self.refuses for message in messages):
            raise Failure("[CANNOT] no")
        uids = []
        for message in messages:
            name_, size = message.text.decode().split()
            self.boxes[name][self.next] = (Entry(name_, int(size), message.flags), message)
            uids.append(self.next)
            self.next += 1
        return 1, uids

    def move(self, uid, name):
        self.boxes[name][self.next] = self.boxes[self.opened].pop(uid)
        self.next += 1
        return 1, self.next - 1

    def change_flags(self, changes):
        for change, uids in changes.items():
            flags = frozenset(change[change.index("(") + 1 : -1].split())
            for uid in uids:
                one, message = self.boxes[self.opened][uid]
                changed = one.flags | flags if change[0] == "+" else one.flags - flags
                self.boxes[self.opened][uid] = (Entry(one.name, one.size, changed), message)

    def quota(self):
        return self.limit

    def content(self):
        return {
            name: sorted((one.name, *sorted(one.flags)) for one, _ in box.values())
            for name, box in self.boxes.items()
            if box
        }


class There:
    """The other host."""

    labels = False

    def __init__(self, **boxes):
        self.boxes = boxes
        self.validity = 7
        self.lost_after = None

    def folders(self):
        return [Folder(name, (name,), "\\All" if name == "All" else None) for name in self.boxes]

    def listing(self, folder):
        return Listing(self.validity, dict(self.boxes[folder.name]))

    def messages(self, folder, uids):
        for uid in uids:
            if self.lost_after is not None:
                if self.lost_after == 0:
                    raise ConnectionError("lost")
                self.lost_after -= 1
            one = self.boxes[folder.name].get(uid)
            if one:
                yield uid, Message(one.flags, "", f"{one.name} {one.size}".encode())


class Copies(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        patch = mock.patch.object(memory, "FOLDER", pathlib.Path(folder.name))
        patch.start()
        self.addCleanup(patch.stop)
        room = mock.patch("mailhost.imports.copying.FOLDER", pathlib.Path(folder.name))
        room.start()
        self.addCleanup(room.stop)
        self.here = Here()

    def copy(self, there):
        known = Memory("anna@example.org", "anna at old")
        self.addCleanup(known.close)
        copy = Copy(there, self.here, known, {})
        copy.compare_lists()
        copy.plan()
        copy.check_room()
        copy.run(lambda _progress: None)
        return copy, compare(copy)

    def test_two_that_are_alike_are_two_and_a_repeated_copy_adds_none(self):
        there = There(INBOX={1: entry("a"), 2: entry("a"), 3: entry("a", 11, "\\Seen")})
        for _ in range(2):
            _, result = self.copy(there)
            self.assertEqual(self.here.content(), {"INBOX": [("a",), ("a",), ("a", "\\Seen")]})
            self.assertEqual((result.equal, result.missing, result.here), (3, (), ()))

    def test_what_was_put_here_and_not_noted_is_found_again(self):
        there = There(INBOX={uid: entry(f"m{uid % 3}") for uid in range(1, 10)})
        with mock.patch.object(Memory, "note", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.copy(there)
        self.here.boxes["INBOX"] = {}
        with (
            mock.patch("mailhost.imports.copying.os.sync", side_effect=[KeyboardInterrupt]),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.copy(there)
        self.assertEqual(len(self.here.boxes["INBOX"]), 9)
        copy, result = self.copy(there)
        self.assertEqual((copy.counts.copied, result.equal, len(self.here.boxes["INBOX"])), (0, 9, 9))

    def test_a_lost_connection_leaves_what_came_before(self):
        there = There(INBOX={uid: entry(f"m{uid}", 5 << 20) for uid in range(1, 4)})
        there.lost_after = 2
        with self.assertRaises(ConnectionError):
            self.copy(there)
        self.assertEqual(len(self.here.boxes["INBOX"]), 2)
        there.lost_after = None
        copy, _ = self.copy(there)
        self.assertEqual((copy.counts.copied, len(self.here.boxes["INBOX"])), (1, 3))

    def test_flags_and_moves_there_are_made_here_and_those_of_a_user_here_stay(self):
        there = There(INBOX={1: entry("a"), 2: entry("b", 10, "\\Seen"), 3: entry("c")}, Work={})
        self.copy(there)
        self.here.open("INBOX")
        self.here.change_flags({"+FLAGS (\\Flagged)": [1]})
        self.here.boxes["Archive"][9] = self.here.boxes["INBOX"].pop(3)
        there.boxes = {"INBOX": {1: entry("a", 10, "\\Seen")}, "Work": {1: entry("b"), 2: entry("c")}}
        copy, result = self.copy(there)
        self.assertEqual(
            self.here.content(),
            {"INBOX": [("a", "\\Flagged", "\\Seen")], "Work": [("b",)], "Archive": [("c",)]},
        )
        self.assertEqual((copy.counts.copied, copy.counts.moved, result.elsewhere), (0, 1, 1))

    def test_what_is_deleted_here_stays_so_and_what_is_deleted_there_stays_here(self):
        there = There(INBOX={1: entry("a"), 2: entry("b")})
        self.copy(there)
        del self.here.boxes["INBOX"][1], there.boxes["INBOX"][2]
        copy, result = self.copy(there)
        self.assertEqual((copy.counts.copied, self.here.content()), (0, {"INBOX": [("b",)]}))
        self.assertEqual([one.message for one in (*result.deleted, *result.here)], ["a", "b"])
        self.assertEqual(result.missing, ())

    def test_a_folder_that_was_made_anew_there_is_compared_and_not_doubled(self):
        there = There(INBOX={1: entry("a"), 2: entry("b")})
        self.copy(there)
        there.validity, there.boxes = 8, {"INBOX": {5: entry("a"), 6: entry("c")}}
        copy, _ = self.copy(there)
        self.assertEqual((copy.counts.copied, self.here.content()), (1, {"INBOX": [("a",), ("b",), ("c",)]}))

    def test_a_folder_that_was_renamed_there_takes_its_messages_along(self):
        there = There(INBOX={}, Old={1: entry("a")})
        self.copy(there)
        there.boxes = {"INBOX": {}, "New": {1: entry("a")}}
        copy, _ = self.copy(there)
        self.assertEqual((copy.counts.copied, self.here.content()), (0, {"New": [("a",)]}))

    def test_a_message_that_another_folder_has_is_not_taken_from_all_messages(self):
        there = There(All={1: entry("a"), 2: entry("b")}, INBOX={1: entry("a")})
        _, result = self.copy(there)
        self.assertEqual(self.here.content(), {"INBOX": [("a",)], "Archive": [("b",)]})
        self.assertEqual((result.equal, result.missing), (2, ()))

    def test_what_is_refused_is_named_and_the_rest_copied(self):
        self.here.refuses = (b"b 10",)
        copy, result = self.copy(There(INBOX={1: entry("a"), 2: entry("b"), 3: entry("c")}))
        self.assertEqual(self.here.content(), {"INBOX": [("a",), ("c",)]})
        self.assertIn("INBOX: b,", copy.counts.refused[0])
        self.assertEqual([one.message for one in result.missing], ["b"])

    def test_a_quota_that_would_not_hold_it_is_told_before_anything_is_copied(self):
        self.here.limit = (3 << 20, 5 << 20)
        with self.assertRaisesRegex(Full, "needs 3 MB more, and its quota of 5 MB has 2 MB left"):
            self.copy(There(INBOX={1: entry("a", 3 << 20)}))
        self.assertEqual(self.here.content(), {})


class Lately(unittest.TestCase):
    def test_an_account_keeps_its_last_whole_copy_and_its_last_new_mail(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "copies.json")
            with (
                mock.patch.object(lately, "FILE", file),
                mock.patch.object(lately, "put_private", lambda path, text: path.write_text(text)),
                mock.patch.object(lately.time, "time", side_effect=[100, 200, 300]),
            ):
                lately.note("anna@example.org", 3, True)
                lately.note("anna@example.org", 0, True)
                lately.note("anna@example.org", 0, False)
                self.assertEqual(lately.all_of(file), {"anna@example.org": lately.Last(200, 100)})

    def test_a_switch_asks_when_accounts_were_copied_to_the_end(self):
        known = {"anna@example.org": lately.Last(86_500, 7), "bert@example.org": lately.Last(None, 7)}
        with (
            mock.patch.object(lately, "all_of", lambda _file: known),
            mock.patch.object(lately.time, "time", lambda: 172_900),
        ):
            self.assertEqual(lately.copies(), lately.Copies({"anna@example.org": 86_500}, 86_500))

    def warnings(self, now, **last):
        with (
            mock.patch.object(lately, "all_of", lambda _file: {"anna@example.org": lately.Last(**last)}),
            mock.patch.object(lately.time, "time", lambda: now),
        ):
            return [*lately.warnings()]

    def test_an_account_is_to_be_copied_again_until_the_other_host_was_silent_for_long_enough(self):
        day = 86_400
        self.assertIn("was never copied to the end", self.warnings(day)[0])
        self.assertEqual(self.warnings(10 * day + 3600, copied=10 * day, found=10 * day), [])
        self.assertRegex(
            self.warnings(12 * day, copied=10 * day, found=9 * day)[0],
            "last copied .* at 1970-01-11 00:00 UTC, where new mail was found last at 1970-01-10 00:00 UTC: run .* may go for "
            "this account at 1970-01-15 00:00 UTC",
        )
        # Nobody has looked since.
        self.assertEqual(len(self.warnings(30 * day, copied=10 * day, found=9 * day)), 1)
        self.assertEqual(self.warnings(30 * day, copied=10 * day, found=5 * day), [])


if __name__ == "__main__":
    unittest.main()
