"""Records that a person publishes, as name servers answer them."""

import contextlib
import io
import re
import sys
import types
import unittest
from unittest import mock

from mailhost import records
from mailhost.visibility import Look


def from_text(_, kind: str, text: str):
    """As dnspython does, which is on the host alone."""
    if kind != "TXT":
        return text.lower()
    return types.SimpleNamespace(strings=[part.encode() for part in re.findall(r'"([^"]*)"', text)])


sys.modules["dns"] = types.ModuleType("dns")
sys.modules["dns"].rdata = sys.modules["dns.rdata"] = types.ModuleType("dns.rdata")
sys.modules["dns.rdata"].from_text = from_text


def warnings(record: records.Record, *answers: str) -> str:
    """What is warned of where a name server answers with these texts."""
    found = [from_text("IN", record.type, answer) for answer in answers]

    def look_at_all(wanted):
        return [Look() if query.are_right(found) else Look("it is not there") for query in wanted]

    output = io.StringIO()
    with mock.patch.object(records, "look_at_all", look_at_all), contextlib.redirect_stdout(output):
        records.warn_of_records([record])
    return output.getvalue()


class OthersRecords(unittest.TestCase):
    record = records.Record("a.example._report._dmarc.b.example", "TXT", '"v=DMARC1"', others=True)

    def test_what_means_the_same_is_right(self):
        for text in [
            '"v=DMARC1"',
            '"v=DMARC1;"',
            '"v=DMARC1; "',
            '"v = DMARC1 ;"',
            '"v=DMARC1; rua=mailto:x@b.example"',
            '"v=DMA" "RC1;"',
            '"V=DMARC1;;"',
            '"v=DMARC1\t;\trua=mailto:x@b.example,mailto:y@b.example!10m"',
        ]:
            self.assertEqual(warnings(self.record, '"another text"', text), "", text)

    def test_what_does_not_is_warned_of(self):
        for text in ['"v=DMARC2"', '"v=dmarc1"', '"rua=mailto:x@b.example; v=DMARC1"', '"DMARC1"', '""']:
            self.assertIn("WARNING: publish a.example._report", warnings(self.record, text), text)
        self.assertIn("WARNING", warnings(self.record))

    def test_other_types_are_compared_as_they_are(self):
        record = records.Record("b.example", "MX", "10 Mail.b.example.", others=True)
        self.assertEqual(warnings(record, "10 mail.b.example."), "")
        self.assertIn("WARNING", warnings(record, "20 mail.b.example."))


class OwnRecords(unittest.TestCase):
    record = records.Record("_dmarc.a.example", "TXT", '"v=DMARC1; p=reject"')

    def test_are_compared_by_their_text(self):
        self.assertEqual(warnings(self.record, '"v=DMARC1; " "p=reject"'), "")
        for text in ['"v=DMARC1; p=reject;"', '"v=DMARC1;p=reject"']:
            self.assertIn("WARNING", warnings(self.record, text))


if __name__ == "__main__":
    unittest.main()
