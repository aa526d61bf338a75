"""
Aggregate reports in the shapes of big receivers, with names of others: each with its oddity, and what is in it.

Every one tells of 3 messages of 192.0.2.10 that pass and of 2 of 198.51.100.7 that fail, unless it says otherwise.
"""

import email.message
import email.policy
import gzip
import io
import zipfile

BEGIN = 1_780_272_000
END = BEGIN + 86399
HOST = "mail.example.org"


def record(source="192.0.2.10", count="3", dkim="pass", spf="pass", disposition="none", results=None, extra="", header="example.org"):  # fmt: skip
    results = results if results is not None else (
        "<dkim><domain>example.org</domain><selector>s1</selector><result>pass</result></dkim>"
        "<spf><domain>example.org</domain><result>pass</result></spf>"
    )  # fmt: skip
    return (
        f"<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated>"
        f"<disposition>{disposition}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf>{extra}</policy_evaluated></row>"
        f"<identifiers><header_from>{header}</header_from></identifiers><auth_results>{results}</auth_results></record>"
    )


BAD = record("198.51.100.7", "2", "fail", "fail", "quarantine",
             "<spf><domain>bulk.example</domain><scope>mfrom</scope><result>pass</result></spf>")  # fmt: skip


def report(
    *records,
    root="feedback",
    version="<version>1.0</version>",
    begin=BEGIN,
    end=END,
    head='<?xml version="1.0" encoding="UTF-8"?>\n',
    metadata="",
    policy="",
):
    return (
        f"{head}<{root}>{version}<report_metadata><org_name>receiver.example</org_name><email>dmarc@receiver.example</email>"
        f"{metadata}<report_id>4711</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>"
        f"</report_metadata><policy_published><domain>example.org</domain><adkim>s</adkim><aspf>s</aspf>"
        f"<p>quarantine</p><sp>quarantine</sp><pct>100</pct>{policy}</policy_published>"
        f"{''.join(records or (record(), BAD))}</{root.split()[0]}>"
    )


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return data.getvalue()


def message(
    data,
    kind="application/gzip",
    name="receiver.example!example.org!1.xml.gz",
    sender="DMARC <noreply@receiver.example>",
    results=f"{HOST} (amavis); dkim=pass (2048-bit key) header.d=receiver.example",
    text="This is a report.",
):
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    if results:
        made["Authentication-Results"] = results
    made["From"] = sender
    made["To"] = "dmarc-reports@example.org"
    made["Subject"] = "Report Domain: example.org Submitter: receiver.example Report-ID: 4711"
    if text is not None:
        made.set_content(text)
    octets = data.encode() if isinstance(data, str) else data
    made.add_attachment(octets, *kind.split("/"), filename=name)
    return made.as_bytes()


two_signatures = record(results=(
    "<dkim><domain>example.org</domain><selector>s1</selector><result>pass</result></dkim>"
    "<dkim><domain>list.example</domain><selector>x</selector><result>fail</result><human_result>bad hash</human_result></dkim>"
    "<spf><domain>example.org</domain><result>pass</result></spf>"))  # fmt: skip

#: A name by the kind of receiver that it is made after, and the message.
SHAPES = {
    "search company: zip": message(zipped(("r.xml", report(metadata="<extra_contact_info>https://help.receiver.example</extra_contact_info>"))),
                                   "application/zip", "receiver.example!example.org!1!2.zip"),
    "office suite: schema attributes, fo, envelopes, gzip": message(gzip.compress(report(
        record(extra="").replace("<header_from>", "<envelope_to>b.example</envelope_to><envelope_from>example.org</envelope_from><header_from>"), BAD,
        root='feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
        policy="<fo>0</fo>").encode())),
    "portal: several signatures, np": message(gzip.compress(report(two_signatures, BAD, policy="<np>none</np>").encode())),
    "portal of the east: no version, single quotes": message(gzip.compress(report(
        version="", head="<?xml version='1.0' encoding='utf-8'?>").encode()), "application/x-gzip"),
    "mail for a fee: dates with a fraction": message(gzip.compress(report(begin=f"{BEGIN}.0", end=f"{END}.75").encode())),
    "free mail: old namespace, spaces around values": message(gzip.compress(report(
        record(count=" 3\n ", source="\n 192.0.2.10 "), BAD, root='feedback xmlns="http://dmarc.org/dmarc-xml/0.1"').encode())),
    "cable company: zip as octet-stream, human results": message(zipped(("r.xml", report())), "application/octet-stream", "r.zip"),
    "business network: raw text of an attachment": message(report(), "text/xml", "r.xml"),
    "cloud: a message without text": message(gzip.compress(report().encode()), text=None),
    "appliance: CDATA and schema location": message(gzip.compress(report(
        record(header="<![CDATA[example.org]]>"), BAD,
        root='feedback xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="rua.xsd"').encode())),
    "security service: gzip named zip": message(gzip.compress(report().encode()), "application/zip", "r.zip"),
    "office suite of the south: dates in ISO form": message(gzip.compress(report(
        begin="2026-06-01T00:00:00Z", end="2026-06-01 23:59:59").encode())),
    "free daemon: mark of the byte order, empty results": message("\ufeff" + report(
        record(results=""), record("198.51.100.7", "2", "fail", "fail", "quarantine", "")), "application/xml", "r.xml"),
    "free filter: results without a domain, spf none": message(gzip.compress(report(
        record(results="<dkim><domain/><result>none</result></dkim><spf><domain>example.org</domain><result>none</result></spf>"),
        record("198.51.100.7", "2", "fail", "softfail", "quarantine", "")).encode())),
    "standard of 2025: its namespace, generator, discovery": message(gzip.compress(report(
        root='feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0"', version="<version>1.0</version>",
        metadata="<generator>reporter 2.1</generator>",
        policy="<discovery_method>treewalk</discovery_method><testing>n</testing><np>reject</np>").replace("<pct>100</pct>", "").encode())),
    "university: prefix of a namespace": message(gzip.compress(
        report(root='d:feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-1.0"').encode())),
    "regional provider: zip with a signature beside the report": message(
        zipped(("__MACOSX/._r.xml", "x"), ("r.xml", report()), ("r.xml.asc", "x")), "application/zip", "r.zip"),
    "old system: ISO 8859-1": message(gzip.compress(report(
        metadata="<extra_contact_info>Büro</extra_contact_info>", head='<?xml version="1.0" encoding="ISO-8859-1"?>').encode("latin-1"))),
    "hosting company: capitals, final dots, whole address": message(gzip.compress(report(
        record(dkim="Pass", spf="PASS", header="Example.ORG."),
        record("198.51.100.7", "2", "Fail", "hardfail", "Quarantine", header="anna@example.org",
               results="<spf><domain>bulk.example.</domain><result>Pass</result></spf>")).encode())),
    "mobile company: overrides, IPv4 in IPv6, milliseconds": message(gzip.compress(report(
        record("::ffff:192.0.2.10"), BAD.replace("</policy_evaluated>", "<reason><type>other</type><comment/></reason></policy_evaluated>"),
        begin=BEGIN * 1000, end=END * 1000).encode())),
    "service for newsletters: 8bit in a part of its own type": message(report(), "application/dmarc+xml", "r.xml"),
    "two records of one address": message(gzip.compress(report(record(count="1"), record(count="2"), BAD).encode())),
}  # fmt: skip

TLS = """{"organization-name":"receiver.example","date-range":{"start-datetime":"2026-06-01T00:00:00Z",
"end-datetime":"2026-06-01T23:59:59Z"},"contact-info":"tls@receiver.example","report-id":"tls-1",
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce"],
"policy-domain":"example.org","mx-host":["mail.example.org"]},"summary":{"total-successful-session-count":95,
"total-failure-session-count":5},"failure-details":[{"result-type":"certificate-expired",
"receiving-mx-hostname":"mail.example.org","failed-session-count":4}]}]}"""
