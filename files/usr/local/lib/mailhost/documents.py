"""JSON documents as frozen dataclasses and back."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from mailhost.failure import Failure

Kind = TypeVar("Kind")
#: JSON's own.
NAMES = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean"}


def key_of(field: "dataclasses.Field[Any]") -> str:
    """Its name, or as in `dataclasses.field(metadata={"key": "hostName"})`."""
    return str(field.metadata.get("key", field.name))


def parsed(kind: type[Kind], text: str, source: str) -> Kind:
    """
    Reads a document of a dataclass, or of a list or dict of some: `parsed(dict[str, File], text, "stdin")`.

    Unknown keys are ignored: another version wrote them. Raises Failure for text that is not JSON, a missing key, or a
    value of another type.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Failure(f"{source} is not JSON: {error}") from error
    return typing.cast("Kind", value_of(kind, document, source))


def value_of(kind: Any, document: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        others = [argument for argument in arguments if argument is not types.NoneType]
        return None if document is None else value_of(others[0], document, place)
    if dataclasses.is_dataclass(kind):
        keys = expect(dict, document, place)
        hints = typing.get_type_hints(kind)
        given = {}
        for field in dataclasses.fields(kind):
            key = key_of(field)
            if key in keys:
                given[field.name] = value_of(hints[field.name], keys[key], f"{place}: {key}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise Failure(f"{place}: {key} is missing")
        return kind(**given)  # type: ignore[operator]
    if origin is dict:
        return {
            key: value_of(arguments[1], value, f"{place}: {key}")
            for key, value in expect(dict, document, place).items()
        }
    if origin is tuple:
        return tuple(
            value_of(arguments[0], value, f"{place}: {number}")
            for number, value in enumerate(expect(list, document, place))
        )
    return expect(kind, document, place)


def expect(kind: Any, document: Any, place: str) -> Any:
    # JSON has one type of numbers, and to Python a boolean is a number.
    accepted = (int, float) if kind is float else kind
    if not isinstance(document, accepted) or (isinstance(document, bool) and kind is not bool):
        raise Failure(f"{place} is not a valid {NAMES[kind]}")
    return document


def plain(value: Any) -> Mapping[str, Any]:
    """A dataclass as json.dumps takes it, as `default`: without the fields that are None."""
    return {
        key_of(field): getattr(value, field.name)
        for field in dataclasses.fields(value)
        if getattr(value, field.name) is not None
    }
