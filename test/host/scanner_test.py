"""Which address of amavis a message is sent to."""

import importlib.machinery
import importlib.util
import itertools
import pathlib
import unittest

PATH = pathlib.Path(__file__).parents[2] / "files/usr/libexec/opensmtpd/table-scanner"
loader = importlib.machinery.SourceFileLoader("table_scanner", str(PATH))
table = importlib.util.module_from_spec(importlib.util.spec_from_loader("table_scanner", loader))
loader.exec_module(table)

RELAYS = [f"smtp+notls://127.0.0.{number}:10024" for number in (1, 2, 3)]
HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def connection(address: str, state: str = "01") -> str:
    remote = "".join(f"{int(octet):02X}" for octet in reversed(address.split(".")))
    return f"   0: 0100007F:8A3C {remote}:2728 {state} 00000000:00000000 00:00000000 00000000   901        0 1 1\n"


def fetched(*connections: str, pause: float = 0.01) -> list:
    """The relays that one table gives, with these connections open, each time that it is asked; seconds between."""
    states = iter(connections)
    times = itertools.count(1, pause)
    questions = [f"table|0.1|1.0|scanners|fetch|relayhost|{number:08x}\n" for number in range(len(connections))]
    given = table.answers(questions, RELAYS, lambda: HEADING + next(states), lambda: next(times))
    return [answer.split("|")[3] for answer in given]


class Table(unittest.TestCase):
    def test_registers_for_relay_hosts(self):
        lines = ["config|smtpd-version|7.6.0\n", "config|protocol|0.1\n", "config|ready\n"]
        self.assertEqual(list(table.answers(lines, RELAYS, str)), ["register|relayhost", "register|ready"])

    def test_gives_one_that_has_no_connection(self):
        self.assertEqual(fetched("", connection("127.0.0.1")), [RELAYS[0], RELAYS[1]])
        self.assertEqual(fetched(connection("127.0.0.1") + connection("127.0.0.2", "02")), [RELAYS[2]])

    def test_gives_all_recipients_of_a_message_the_same(self):
        self.assertEqual(fetched("", "", ""), [RELAYS[0]] * 3)

    def test_gives_the_next_message_the_one_that_was_given_longest_ago(self):
        self.assertEqual(fetched("", "", "", "", pause=0.25), [*RELAYS, RELAYS[0]])
        self.assertEqual(fetched("", connection("127.0.0.2"), "", pause=0.25), [RELAYS[0], RELAYS[2], RELAYS[1]])

    def test_does_not_count_what_is_closed_or_listens_or_comes_from_there(self):
        for state in ("06", "04", "0A"):
            self.assertEqual(fetched(connection("127.0.0.1", state)), [RELAYS[0]])

    def test_takes_turns_where_none_is_free(self):
        full = "".join(connection(f"127.0.0.{number}") for number in (1, 2, 3))
        self.assertEqual(fetched(full, full, full, full), [*RELAYS, RELAYS[0]])

    def test_answers_an_update_and_refuses_the_rest(self):
        lines = ["table|0.1|1.0|scanners|update|ab\n", "table|0.1|1.0|scanners|lookup|relayhost|cd|x|y\n"]
        self.assertEqual(
            list(table.answers(lines, RELAYS, str)),
            ["update-result|ab|ok", "lookup-result|cd|error|no such operation here"],
        )


if __name__ == "__main__":
    unittest.main()
