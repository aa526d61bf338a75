"""What a sender is told of a recipient whose route ends at this host."""

import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

from protocol import Refused

PROGRAM = pathlib.Path(__file__).parents[2] / "files/usr/local/lib/mailhost"


def loaded(path: pathlib.Path):
    loader = importlib.machinery.SourceFileLoader(path.name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path.name, loader))
    loader.exec_module(module)
    return module


own = loaded(PROGRAM / "filters/own")

OWN = {"192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"}
DNS = {
    ("loopback.example", "MX"): ["10 home.example."],
    ("home.example.", "A"): ["127.0.0.1"],
    ("us.example", "MX"): ["10 mail.example.org."],
    ("mail.example.org.", "A"): ["192.0.2.1"],
    ("mail.example.org.", "AAAA"): ["2001:db8::1"],
    ("other.example.", "A"): ["198.51.100.1"],
    ("backup.example", "MX"): ["20 mail.example.org.", "10 other.example."],
    ("equal.example", "MX"): ["10 mail.example.org.", "10 other.example."],
    ("first.example", "MX"): ["10 mail.example.org.", "20 other.example."],
    ("six.example", "MX"): ["10 six.example."],
    ("six.example.", "AAAA"): ["2001:db8::1"],
}


def answer(domain: str) -> str:
    return own.answer(
        domain,
        lambda name, kind: None if name == "unknown.example" else object(),
        lambda name, kind: DNS.get((name, kind), []),
        OWN.__contains__,
    )


class Answer(unittest.TestCase):
    def test_refuses_for_good_where_no_mail_exchanger_is_better(self):
        for domain in (
            "loopback.example", "us.example", "six.example", "equal.example", "first.example", "nomx.example",
            "[127.0.0.1]", "[192.0.2.1]", "[ipv6:::1]",
        ):  # fmt: skip
            with self.subTest(domain):
                self.assertRegex(answer(domain), r"^554 5\.4\.6 .*this host itself$")

    def test_puts_off_where_a_better_mail_exchanger_is_down(self):
        self.assertRegex(answer("backup.example"), r"^451 4\.4\.1 ")

    def test_puts_off_where_dns_does_not_answer(self):
        self.assertRegex(answer("unknown.example"), r"^451 4\.4\.3 ")


class IsOwn(unittest.TestCase):
    def test_knows_the_addresses_of_the_host(self):
        for address, expected in (
            ("127.0.0.1", True), ("127.1.2.3", True), ("0.0.0.0", True), ("198.51.100.1", False), ("2001:db8::1", False),
        ):  # fmt: skip
            with self.subTest(address):
                self.assertEqual(own.is_own(address), expected)


class Filter(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "domains").write_text("example.org\nmoving.example\n")
        (self.folder / "virtuals").write_text("anna@example.org vmail\nanna@moving.example vmail\n")
        (self.folder / "elsewhere").write_text("moving.example\n")

    def judge(self, recipient: str) -> None:
        filter = own.Own(0, str(self.folder / "domains"), str(self.folder / "virtuals"))
        message = own.Message("", "anna@example.org")
        message.recipients = [recipient]
        filter.check_recipients(message)

    def test_refuses_what_is_for_no_mailbox_here(self):
        with self.assertRaisesRegex(Refused, "554"):
            self.judge("x@[127.0.0.1]")

    def test_keeps_mail_waiting_that_another_host_is_to_have(self):
        with self.assertRaisesRegex(Refused, r"^451 4\.4\.6 mail for moving\.example is delivered elsewhere"):
            self.judge("anna@moving.example")

    def test_takes_what_waited_for_another_host_until_the_domain_moved_here(self):
        (self.folder / "elsewhere").unlink()
        self.judge("anna@moving.example")
        self.judge("anna@example.org")


if __name__ == "__main__":
    unittest.main()
