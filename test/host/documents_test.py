"""Documents in JSON, and what the package and the host program agree on."""

import dataclasses
import json
import pathlib
import types
import typing
import unittest

from mailhost import acme, check, dkim, doctor, specs
from mailhost.documents import key_of, parsed, plain
from mailhost.failure import Failure
from mailhost.figures import summary
from mailhost.files import Files
from mailhost.imports import job, lately, report
from mailhost.records import Record

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "components/hostDocuments.schema.json").read_text())
#: What Python reads or writes for each document of the schema.
KINDS = {
    "files": Files,
    "mail": check.Mail,
    "records": tuple[Record, ...],
    "certificates": acme.Settings,
    "dkim": dkim.Settings,
    "dkimKeys": dkim.Keys,
    "account": acme.Account,
    "specs": specs.Specs,
    "findings": tuple[doctor.Finding, ...],
    "importJob": job.Job,
    "importFilesJob": job.FilesJob,
    "importCopies": lately.Copies,
    "importLine": job.Line,
    "importNamed": report.Named,
    "figures": summary.Summary,
    "figuresSpan": summary.Span,
}
#: What no type of Python says.
WORDS = {"description", "enum", "pattern", "propertyNames"}


def schema_of(kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return schema_of(arguments[0])
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0])}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        return {
            "type": "object",
            "properties": {key_of(field): schema_of(hints[field.name]) for field in fields},
            "required": sorted(key_of(field) for field in fields if field.default is dataclasses.MISSING),
            "additionalProperties": False,
        }
    return {"type": {str: "string", int: "integer", bool: "boolean"}[kind]}


def bare(schema):
    """Without words, and with what is referred to in place."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return bare(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    found = {key: value for key, value in schema.items() if key not in WORDS}
    for key in found.keys() & {"items", "additionalProperties"}:
        found[key] = bare(found[key])
    if "properties" in found:
        found["properties"] = {key: bare(value) for key, value in found["properties"].items()}
        found["required"] = sorted(found["required"])
    return found


class Schema(unittest.TestCase):
    def test_is_what_the_host_program_reads_and_writes(self):
        self.assertEqual({*KINDS, "file"}, {*SCHEMA["$defs"]})
        for name, kind in KINDS.items():
            self.assertEqual(schema_of(kind), bare(SCHEMA["$defs"][name]), name)


class Documents(unittest.TestCase):
    settings: typing.ClassVar = {
        "directory": "https://ca.example/dir",
        "contact": "a@example.org",
        "certificates": {"example.org": {"names": ["example.org"], "request": "/request", "privateKey": "/key"}},
    }

    def test_come_back_as_they_were(self):
        for kind, document in (
            (acme.Settings, self.settings),
            (acme.Account, {}),
            (tuple[Record, ...], [{"name": "a", "type": "TXT", "data": '"ä"', "others": True}]),
            (dict[str, str | None], {"/a": "0", "/b": None}),
        ):
            read = parsed(kind, json.dumps(document), "test")
            self.assertEqual(json.loads(json.dumps(read, default=plain)), document)

    def test_may_have_more_of_another_version(self):
        self.assertEqual(parsed(acme.Account, '{"uri": "u", "other": 1}', "test"), acme.Account("u"))

    def test_are_refused_with_the_place_and_no_value(self):
        for document, words in (
            ("{", "test is not JSON: "),
            ("[]", "test is not a valid object"),
            ("{}", "test: directory is missing"),
            ({"contact": None}, "test: contact is not a valid string"),
            (
                {"certificates": {"x": {"names": ["a", 1], "request": "", "privateKey": ""}}},
                "certificates: x: names: 1 is",
            ),
            (
                {"certificates": {"x": {"names": "secret", "request": "", "privateKey": ""}}},
                "names is not a valid array",
            ),
            ({"certificates": {"x": {"names": [], "request": ""}}}, "test: certificates: x: privateKey is missing"),
        ):
            text = document if isinstance(document, str) else json.dumps(self.settings | document)
            with self.subTest(text), self.assertRaisesRegex(Failure, words) as caught:
                parsed(acme.Settings, text, "test")
            self.assertNotIn("secret", str(caught.exception))

    def test_know_a_number_from_a_truth(self):
        for kind, right, wrong in ((int, "1", "true"), (int, "0", "1.5"), (float, "1", "false"), (bool, "true", "1")):
            parsed(dict[str, kind], f'{{"a": {right}}}', "test")
            with self.assertRaises(Failure):
                parsed(dict[str, kind], f'{{"a": {wrong}}}', "test")


if __name__ == "__main__":
    unittest.main()
