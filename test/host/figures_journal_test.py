"""What the daemons write into the journal, as figures."""

import json
import subprocess
import types
import unittest

from mailhost.failure import Failure
from mailhost.figures import collect, journal, metrics, store
from on_host import OnHost

NOW = 1_900_000_000.0


class Journal(OnHost):
    """Lines as a host in the lab wrote them."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / "figures.sqlite"
        self.time = NOW

    def read(self, *lines, later=0):
        """Each line a tenth of a second after the one before."""
        found = []
        for line in lines:
            self.time += 0.1
            program, _, text = line.partition(": ")
            found.append(journal.Entry(self.time, program, text, f"cursor of {self.time}"))
        with store.opened(self.path) as figures:
            follower = journal.Follower(figures, ["example.org", "example.net"], ["192.0.2.1"])
            follower.read(found)
            follower.end(self.time + later)

    def counts(self, table="mail"):
        with store.opened(self.path) as figures:
            rows = figures.database.execute(f"SELECT * FROM {table} ORDER BY 2, 3").fetchall()
        return {tuple(row[1:3]): row[3] for row in rows}

    def session(self, address, *lines, session="69357e31677b1b83"):
        return [
            f"smtpd: {session} smtp connected address={address} host=client.example",
            *(f"smtpd: {session} {line}" for line in lines),
            f"smtpd: {session} smtp disconnected reason=quit",
        ]

    def arrival(self, address, message, login=None):
        words = [f"smtp authentication user={login} result=ok"] if login else []
        return self.session(
            address,
            *words,
            f"smtp message msgid={message} size=1296 nrcpt=1 proto=ESMTP",
            f"smtp envelope evpid={message}e3190352 from=<erika@remote.example> to=<anna@example.org>",
        )

    def scanned(self, first, second, words="Passed CLEAN {RelayedInbound}, [127.0.0.1]"):
        """Through amavis: the message comes again before its first delivery ends."""
        return [
            *self.arrival("127.0.0.1", second),
            f"amavis: (07803-03) {words} <erika@remote.example> -> <anna@example.org>, Message-ID: <3bbf@remote.example>, "
            f"mail_id: hZOH9BK8QqHp, Hits: -0.201, size: 1093, queued_as: 250 2.0.0 {second} Message accepted for delivery, "
            "dkim_sd=remote:remote.example, 426 ms",
            self.relayed(first, "127.0.0.4 (127.0.0.4)", f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 {second} "
            "Message accepted for delivery"),
        ]  # fmt: skip

    def relayed(self, message, relay, stat="250 OK: message queued", result="Ok", sender="anna@example.org"):
        return (
            f"smtpd: 69357e347763d224 mta delivery evpid={message}e3190352 from=<{sender}> to=<erika@remote.example> "
            f'rcpt=<-> source="192.0.2.1" relay="{relay}" delay=1s result="{result}" stat="{stat}"'
        )

    def delivered(self, message, to="anna@example.org", result="Ok"):
        return (
            f"smtpd: 69357e36c6e2c198 mda delivery evpid={message}83f27b5a from=<erika@remote.example> to=<{to}> "
            f"rcpt=<{to}> user=vmail delay=0s result={result} stat=Delivered"
        )

    def test_follows_a_message_from_outside_into_its_mailbox(self):
        self.read(
            *self.arrival("198.51.100.4", "5657d565"), *self.scanned("5657d565", "43cbc4e4"), self.delivered("43cbc4e4")
        )
        self.assertEqual(self.counts(), {("example.org", "in"): 1})
        with store.opened(self.path) as figures:
            ((_, what, _, number, seconds), (_, scan, *_)) = figures.database.execute(
                "SELECT * FROM durations ORDER BY 2"
            )
        # From the line with which it arrived to the last one.
        self.assertEqual((what, number, round(seconds, 3), scan), ("in", 1, 0.9, "scan"))

    def test_follows_it_whatever_order_the_daemons_write_in_and_wherever_a_run_ends(self):
        lines = [*self.arrival("198.51.100.4", "5657d565"), *self.scanned("5657d565", "43cbc4e4")]
        lines.insert(-1, self.delivered("43cbc4e4"))
        for end in range(len(lines)):
            self.path = self.folder / f"{end}.sqlite"
            self.read(*lines[:end])
            self.read(*lines[end:])
            self.assertEqual(self.counts(), {("example.org", "in"): 1}, end)

    def test_knows_junk_and_what_is_held(self):
        spam = "Passed SPAM {RelayedTaggedInbound}, [127.0.0.1]"
        self.read(
            *self.arrival("198.51.100.4", "5657d565"), *self.scanned("5657d565", "43cbc4e4", spam), self.delivered("43cbc4e4"),
            # Marked, and no junk.
            *self.arrival("198.51.100.4", "5657d566"),
            *self.scanned("5657d566", "43cbc4e5", "Passed SPAMMY {RelayedTaggedInbound}, [127.0.0.1]"), self.delivered("43cbc4e5"),
            "amavis: (07804-03) Blocked INFECTED (Eicar-Signature) {DiscardedInbound,Quarantined}, [127.0.0.1] "
            "<erika@remote.example> -> <anna@example.org>,<bert@example.net>, quarantine: virus-x, Message-ID: <a@b>, "
            "mail_id: 0iZPbjTFbtUv, Hits: -, size: 446, 431 ms",
        )  # fmt: skip
        self.assertEqual(
            self.counts(),
            {
                ("example.org", "junk"): 1, ("example.org", "in"): 1, ("example.org", "held"): 1, ("example.net", "held"): 1,
            },
        )  # fmt: skip

    def test_counts_what_leaves_by_its_sender(self):
        self.read(
            *self.arrival("198.51.100.1", "82fed993", login="anna@example.org"), *self.scanned("82fed993", "184764c2"),
            self.relayed("184764c2", "[2001:db8::4] (mx.remote.example)", result="TempFail", stat="451 later"),
            self.relayed("184764c2", "[2001:db8::4] (mx.remote.example)"),
            *self.arrival("198.51.100.1", "82fed994", login="anna@example.org"), *self.scanned("82fed994", "184764c3"),
            self.relayed("184764c3", "203.0.113.4 (mx.remote.example)", result="PermFail", stat="550 no"),
            *self.arrival("198.51.100.4", "82fed995"), *self.scanned("82fed995", "184764c4"),
            self.relayed("184764c4", "203.0.113.4 (mx.remote.example)", sender="SRS0=ab=cd=remote.example=erika@example.org"),
            "smtpd: relay: Expire for 184764c51234abcd: from=<anna@example.org>, to=<a@remote.example>, rcpt=<->, "
            "delay=4d, stat=Envelope expired",
        )  # fmt: skip
        self.assertEqual(
            self.counts(),
            {
                ("example.org", "deferred"): 1, ("example.org", "out"): 1, ("example.org", "bounced"): 2,
                ("example.org", "forwarded"): 1,
            },
        )  # fmt: skip

    def test_tells_mail_between_accounts_and_of_the_host_itself(self):
        self.read(
            *self.arrival("198.51.100.1", "82fed993", login="anna@example.org"), *self.scanned("82fed993", "184764c2"),
            self.delivered("184764c2", "bert@example.net"),
            # Of a Sieve script, which amavis does not see; and a probe.
            *self.arrival("127.0.0.1", "82fed994"), self.delivered("82fed994", "bert@example.net"),
            *self.arrival("local", "82fed995"), *self.scanned("82fed995", "184764c4"),
            self.delivered("184764c4", "mailhost-probe@mailhost-probe.invalid"),
        )  # fmt: skip
        self.assertEqual(self.counts(), {("example.net", "internal"): 1})
        self.read(later=journal.INSTANT)
        self.assertEqual(self.counts(), {("example.net", "internal"): 2})

    def test_counts_refusals_without_a_name_of_others(self):
        refusal = 'smtp failed-command command="{}" result="{}"'
        self.read(
            *self.session(
                "198.51.100.4",
                refusal.format("RCPT TO:<nobody@example.org>", "550 Invalid recipient: <nobody@example.org>"),
                refusal.format(
                    "rcpt to:<victim@elsewhere.example>", "550 Invalid recipient: <victim@elsewhere.example>"
                ),
                refusal.format("DATA", "421 4.3.0 try again"),
                refusal.format("VRFY anna", "500 5.5.1 unrecognized"),
                refusal.format("AUTH PLAIN (...)", "535 Authentication failed"),
            ),
            *self.session(
                "198.51.100.1",
                "smtp authentication user=anna@example.org result=ok",
                refusal.format("MAIL FROM:<bert@example.net>", "550 5.7.1 not yours"),
            ),
            *self.session("192.0.2.1", refusal.format("RCPT TO:<nobody@example.org>", "550 Invalid recipient")),
        )
        self.assertEqual(
            self.counts(), {("example.org", "refused"): 1, ("", "refused"): 1, ("", "delayed"): 1, ("", "denied"): 1}
        )

    def test_counts_logins_and_bans(self):
        self.read(
            "smtpd: 69357e2fbb75dca2 smtp authentication user=anna@example.org result=permfail",
            "dovecot: imap-login: Logged in: user=<anna@example.org>, method=PLAIN, rip=198.51.100.1, lip=192.0.2.1, TLS",
            "dovecot: auth(anna@example.org,198.51.100.1,sasl:plain)<7zBeo4hhRKgKWAAB>: passwd-file: Password mismatch",
            "dovecot: auth(anna@example.org,198.51.100.1,sasl:plain)<7zBeo4hhRKgKWAAB>: logins: unknown user",
            "dovecot: auth(anna@example.org,198.51.100.1,sasl:plain)<7zBeo4hhRKgKWAAB>: own: unknown user",
            "fail2ban-server: fail2ban.actions        [7035]: NOTICE  [mailhost-logins] Ban 198.51.100.1",
            "fail2ban-server: fail2ban.actions        [7035]: NOTICE  [mailhost] Ban 198.51.100.9",
            "fail2ban-server: fail2ban.actions        [7035]: NOTICE  [sshd] Ban 198.51.100.9",
        )
        self.assertEqual(
            self.counts("logins"),
            {
                ("submission", "failed"): 1, ("imap", "ok"): 1, ("imap", "failed"): 1, ("mail", "banned"): 1,
                ("ssh", "banned"): 1,
            },
        )  # fmt: skip

    def test_keeps_no_address_of_others(self):
        self.read(
            *self.arrival("198.51.100.4", "5657d565"), *self.scanned("5657d565", "43cbc4e4"), self.delivered("43cbc4e4"),
            self.relayed("43cbc4e5", "203.0.113.4 (mx.remote.example)", sender="who@stranger.example"),
        )  # fmt: skip
        content = self.path.read_bytes()
        for word in (b"remote.example", b"stranger", b"erika", b"198.51.100", b"203.0.113"):
            self.assertNotIn(word, content)

    def test_forgets_what_never_ended(self):
        self.read(self.session("198.51.100.4")[0], *self.arrival("127.0.0.1", "5657d565"), later=2 * store.DAY)
        with store.opened(self.path) as figures:
            self.assertEqual(figures.get("journal.sessions"), "{}")
            self.assertEqual(figures.database.execute("SELECT * FROM open_messages").fetchall(), [])


class Entries(OnHost):
    """journalctl, by a stand-in."""

    def entries(self, script, cursor=None):
        popen = subprocess.Popen

        def stand_in(command, **options):
            self.command = command
            return popen(["sh", "-c", script], **options)

        self.replace(journal.subprocess, Popen=stand_in)
        return [*journal.entries(cursor)]

    def test_reads_text_alone_and_begins_after_the_cursor(self):
        about = {"__REALTIME_TIMESTAMP": "1796089337685667", "__CURSOR": "s=1", "SYSLOG_IDENTIFIER": "smtpd"}
        lines = [json.dumps({**about, "MESSAGE": message}) for message in ("text", [255, 254], None)]
        found = self.entries(f"printf '%s\\n' {' '.join(map(repr, lines))}", cursor="s=0")
        self.assertEqual(found, [journal.Entry(1796089337.685667, "smtpd", "text", "s=1")])
        self.assertIn("--after-cursor=s=0", self.command)

    def test_tells_why_there_is_no_journal(self):
        with self.assertRaisesRegex(Failure, "no such journal"):
            self.entries("echo no such journal >&2; exit 1")


class Collection(OnHost):
    def setUp(self):
        super().setUp()
        self.queue = []
        self.asked = []
        answers = {
            "ip": '[{"addr_info": [{"local": "192.0.2.1"}]}]',
            "doveadm": "Username\tQuota name\tType\tValue\tLimit\t%\nanna@example.org\tMailbox\tSTORAGE\t9\t-\t0\n"
            "anna@example.org\tMailbox\tMESSAGE\t4\t-\t0\nmailhost-probe@mailhost-probe.invalid\tMailbox\tSTORAGE\t1\t-\t0\n",
        }

        def run(*command):
            self.asked.append(command[0])
            if answers[command[0]] is None:
                raise Failure("doveadm failed")
            return answers[command[0]]

        self.answers = answers
        self.replace(store, PATH=self.folder / "figures.sqlite")
        self.replace(journal, entries=lambda cursor: [], own_domains=lambda: ["example.org"])
        self.printed = []
        self.replace(collect, print=self.printed.append)
        self.replace(metrics, FOLDERS=self.folder / "none", PAGE=self.folder / "metrics")
        self.replace(collect, run=run, queue=lambda: self.queue, time=types.SimpleNamespace(time=lambda: NOW))

    def rows(self, table):
        with store.opened() as figures:
            return figures.database.execute(f"SELECT * FROM {table}").fetchall()

    def test_notes_queue_and_storage(self):
        self.queue = [
            f"25a1b2c3d4e5f607|inet4|mta||a@b.example|c@d.example|c@d.example|{int(NOW) - 90}|0|0|1|pending|5|451"
        ]
        collect.collect()
        collect.collect()
        self.assertEqual(self.rows("queue"), [(NOW // 3600, 1, 90)])
        self.assertEqual(self.rows("storage"), [(NOW // 86400, "anna@example.org", 9216, 4)])
        self.assertEqual(self.asked.count("doveadm"), 1, "once an hour")

    def test_keeps_the_rest_if_dovecot_does_not_answer(self):
        answer, self.answers["doveadm"] = self.answers["doveadm"], None
        collect.collect()
        self.assertEqual((len(self.rows("queue")), self.rows("storage")), (1, []))
        self.assertRegex(self.printed[0], "doveadm failed")
        # It restarted: the next run asks again.
        self.answers["doveadm"] = answer
        collect.collect()
        self.assertEqual(len(self.rows("storage")), 1)


if __name__ == "__main__":
    unittest.main()
