"""XML as a tree of names and texts, for documents of strangers."""

import dataclasses
import xml.parsers.expat

from mailhost.reports.refusal import Refused

#: A report is six levels deep.
DEEPEST = 20
#: Octets of a text, such as the explanation of a result.
LONGEST = 10_000
#: Elements: a report has about 20 a row.
MOST = 500_000


@dataclasses.dataclass
class Element:
    #: Without its namespace.
    name: str
    children: "list[Element]" = dataclasses.field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> "list[Element]":
        return [child for child in self.children if child.name == name]

    def at(self, *path: str) -> "Element | None":
        """The first element at the path of names, if there is one."""
        found: Element | None = self
        for name in path:
            found = next(iter(found.all(name)), None) if found else None
        return found

    def word(self, *path: str, default: str = "") -> str:
        found = self.at(*path)
        return (found.text.strip() if found else "") or default


def parsed(data: bytes) -> Element:
    """
    Gives the root element.

    A document type is refused at its first character: it alone can declare entities, which may stand for other files or
    unfold without bound. Raises Refused.
    """
    parser = xml.parsers.expat.ParserCreate()
    root = Element("")
    open_ones = [root]
    elements = 0

    def begin(name: str, _attributes: object) -> None:
        nonlocal elements
        elements += 1
        if len(open_ones) > DEEPEST or elements > MOST:
            raise Refused(f"its XML is deeper than {DEEPEST} levels or has more than {MOST} elements")
        element = Element(name.rpartition(":")[2])
        open_ones[-1].children.append(element)
        open_ones.append(element)

    def end(_name: str) -> None:
        open_ones.pop()

    def text(words: str) -> None:
        if len(open_ones[-1].text) + len(words) > LONGEST:
            raise Refused(f"its XML has a text of more than {LONGEST} characters")
        open_ones[-1].text += words

    def refuse(*_about: object) -> None:
        raise Refused("its XML has a document type")

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data.strip(), True)
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:
        raise Refused(f"its XML is not well-formed: {error}") from error
    return root.children[0]
