"""Pushes of DKIM keys, by name servers that answer what the test says."""

import json
import pathlib

from mailhost import dkim, dkim_evidence, visibility
from mailhost.files import File
from on_host import Clock, OnHost

TTL = 1800


class Text:
    """A TXT record."""

    def __init__(self, *strings):
        self.strings = [string.encode() for string in strings]

    def __str__(self):
        return b"".join(self.strings).decode()


def plan(signs, *published, retention=1000):
    """The same selectors for each of the domains, as amavis' files have them."""
    domains = {domain: {"signs": selector, "published": published} for domain, selector in signs.items()}
    keys = {domain: dict.fromkeys(published, "QUFB") for domain in signs}
    return {
        dkim.SETTINGS: File("0644", "root:root", json.dumps({"retention": retention, "domains": domains})),
        dkim.PUBLIC_KEYS: File("0644", "root:root", json.dumps(keys)),
    }


class Signing(OnHost):
    def setUp(self):
        super().setUp()
        self.clock = Clock()
        #: Names that no name server has, those of which none answers, and times from which they are there.
        self.gone, self.silent, self.appears = set(), set(), {}
        self.negative_ttl = TTL
        self.asked, self.ran, self.said, self.written = [], [], [], []
        self.replace(dkim_evidence, EVIDENCE=self.folder / "dkim.json", time=self.clock, put=self.put)
        self.replace(
            dkim,
            SETTINGS=str(self.folder / "settings.json"),
            PUBLIC_KEYS=str(self.folder / "keys.json"),
            UNSIGNED=self.folder / "unsigned",
            RESTART=self.folder / "restart",
            time=self.clock,
            run=lambda *command: self.ran.append(command),
            look_at_all=self.look_at_all,
            print=lambda text, flush=False: self.said.append((self.clock.now, text, flush)),
        )

    def put(self, path, file):
        self.written.append(file)
        pathlib.Path(path).write_text(file.text)

    def look_at_all(self, queries):
        for query in queries:
            self.assertEqual((query.name.partition("._domainkey.")[2], query.kind), (query.owner, "TXT"))
            self.assertTrue(query.are_right([Text("v=DKIM1; k=rsa; p=QUFB")]))
            self.assertFalse(query.are_right([Text("v=DKIM1; k=rsa; p=QUFC")]))
            self.asked.append(query.name)
        return [self.look(query.name) for query in queries]

    def look(self, name):
        if name in self.silent:
            return visibility.Look("time-out", certain=False)
        is_gone = name in self.gone or self.clock.now < self.appears.get(name, 0)
        return visibility.Look("nothing" if is_gone else None, negative_ttl=self.negative_ttl)

    def push(self, files, killed=False):
        dkim.check(files, {})
        if not killed:
            for path, file in files.items():
                pathlib.Path(path).write_text(file.text)
            dkim.note_signers()

    def signs(self, domain):
        return dkim.signers(dkim_evidence.load().get(domain, {}))
