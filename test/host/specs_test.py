"""What follows on the host from a daemon's spec: a daemon is added by its spec and a class."""

import unittest
from unittest import mock

from mailhost import check, daemons, drift, served, specs
from mailhost.daemons.daemon import Endpoint, Service

GOPHER = specs.Spec(
    ("gopherd-rotate.timer",),
    ("/etc/gopherd/names",),
    (
        specs.Port(70, "ManageSieve", True, "STARTTLS"),
        specs.Port(7070, "HTTP", True),
        specs.Port(10070, "SMTP", False),
    ),
    "gopherd",
)


class ANewDaemon(unittest.TestCase):
    def setUp(self):
        self.patch(mock.patch.dict(specs.SPECS, {"gopher": GOPHER}))

        class Gopher(Service):
            name = "gopher"
            sockets = (Endpoint("/run/gopherd.sock", b"hello"),)

        self.daemon = Gopher()
        self.replace(check, wanted=lambda: [self.daemon])

    def patch(self, patch):
        patch.start()
        self.addCleanup(patch.stop)

    def replace(self, module, **others):
        for name, other in others.items():
            self.patch(mock.patch.object(module, name, other))

    def test_answers_on_all_its_ports_and_sockets(self):
        self.assertEqual(
            self.daemon.endpoints,
            [
                Endpoint(("127.0.0.1", 70), b'"IMPLEMENTATION"'),
                Endpoint(("127.0.0.1", 7070), b""),
                Endpoint(("127.0.0.1", 10070), b"220 "),
                Endpoint("/run/gopherd.sock", b"hello"),
            ],
        )

    def test_runs_with_its_timers(self):
        self.replace(check, is_active=lambda unit: unit == "metadata-guard", is_enabled=lambda unit: unit != "gopherd")
        self.assertEqual(
            [reason.split(":")[0] for reason in check.services()],
            [
                "service gopherd does not run",
                "service gopherd would not start at boot",
                "service gopherd-rotate.timer does not run",
            ],
        )

    def test_listens_on_what_it_opens_to_others_and_on_nothing_else(self):
        self.replace(check, open_ports=lambda: {70, 10070})
        self.assertEqual(
            [reason.split(":")[0].split(",")[0] for reason in check.listeners()],
            ["nothing listens on port 7070", "something listens on port 10070"],
        )
        self.replace(drift, open_ports=lambda: {70, 7070, 22})
        self.assertEqual([reason.split(",")[0] for reason in drift.ports()], ["something listens on port 22"])

    def test_serves_the_certificate_where_it_has_tls(self):
        asked = []
        self.replace(check.manifests, owned=lambda name: {})
        self.replace(served, differs=lambda port, name, chain: asked.append(port))
        self.replace(check.pathlib.Path, read_text=lambda path: "")
        self.assertEqual([*check.served_certificates("mail.example.org")], [])
        self.assertEqual(asked, [70])


class Specs(unittest.TestCase):
    def test_each_has_a_class_and_each_class_one(self):
        self.assertEqual([*daemons.DAEMONS], [*specs.SPECS])

    def test_a_server_that_waits_for_tls_greets_nobody(self):
        self.assertEqual(specs.Port(465, "SMTP", True, "TLS").greeting, b"")
        self.assertEqual(specs.Port(25, "SMTP", True, "STARTTLS").greeting, b"220 ")

    def test_a_public_port_is_found_by_its_number(self):
        self.assertEqual(specs.port(4190).protocol, "ManageSieve")
        # amavis listens there, on loopback.
        with self.assertRaises(StopIteration):
            specs.port(10024)


if __name__ == "__main__":
    unittest.main()
