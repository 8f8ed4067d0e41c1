"""A vendor's XML as the data that JSON would be: objects, lists, texts, numbers. Pure, and bounded.

No document type is taken, so nothing can be declared: no entities that grow, and none that name a file.
"""

import re
from typing import Any, Final
from xml.parsers import expat

_DEEPEST: Final = 100
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class _Element:
    __slots__ = ("attributes", "children", "texts")

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self.children: list[tuple[str, Any]] = []
        self.texts: list[str] = []


class _Builder:
    def __init__(self) -> None:
        self.root = _Element({})
        self._open = [self.root]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise ValueError("too deep")
        self._open.append(_Element(attributes))

    def text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def end(self, name: str) -> None:
        element = self._open.pop()
        self._open[-1].children.append((name.replace("-", "_"), _value(element)))


def parse_xml(text: bytes) -> Any:
    """What stands in the root; None where it is no such XML.

    Elements become the members of an object, dashes in names underscores. `type` says what is not text: array, integer
    or boolean; `nil` is null. Of two members of one name the last one counts, as in JSON.
    """
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.CharacterDataHandler = builder.text
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(text.strip(), True)
    except (expat.ExpatError, ValueError):
        return None
    return builder.root.children[0][1]


def _refuse(*_: Any) -> None:
    raise ValueError("a document type")


def _value(element: _Element) -> Any:
    kind = element.attributes.get("type")
    if element.attributes.get("nil") == "true":
        return None
    if kind == "array":
        return [value for _, value in element.children]
    if element.children:
        return dict(element.children)
    return _scalar("".join(element.texts), kind)


def _scalar(text: str, kind: str | None) -> Any:
    if kind == "integer" and _INTEGER.fullmatch(text.strip()):
        return int(text)
    return _BOOLEANS.get(text.strip(), text) if kind == "boolean" else text
