"""What a header costs that a stranger has made."""

import time
import unittest

import header
from protocol import Refused


def cost(lines: int) -> float:
    """The least CPU time, in seconds, of unfolding one field of so many lines."""
    text = [b"X-Long: a"] + [b" " + b"b" * 70] * lines

    def once():
        begin = time.process_time()
        header.fields(text)
        return time.process_time() - begin

    return min(once() for _ in range(3))


class Fields(unittest.TestCase):
    def test_unfolds(self):
        self.assertEqual(header.fields([b"A: x", b"\ty", b" z", b"B:"]), [("a", b" x\n\ty\n z"), ("b", b"")])

    def test_unfolds_in_a_time_that_grows_with_the_size_alone(self):
        # Sixteen times as much where each line copies all before it; four where it does not.
        self.assertLess(cost(80_000), 10 * cost(20_000))


class Addresses(unittest.TestCase):
    def test_parses_no_field_that_is_long(self):
        for text in (b"a@example.org, " * 1000, b"a " * 6000 + b"<a@example.org>"):
            with self.assertRaisesRegex(Refused, "550 5.6.0 From has more than 10000 octets"):
                header.addresses([("from", text)], "From")


if __name__ == "__main__":
    unittest.main()
