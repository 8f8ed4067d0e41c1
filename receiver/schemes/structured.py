"""Structured fields (RFC 9651), as much of them as signed messages need, and only as the standard writes them. Pure.

Values stay the texts that they were: what is signed is a text. Errors: ValueError.
"""

import base64
import re
from typing import Final, NamedTuple

_LONGEST: Final = 16384
_KEY = r"[a-z*][a-z0-9_.*-]*"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_BYTES = r":[A-Za-z0-9+/]*={0,2}:"
_TOKEN = r"[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*"
_BARE = rf"(?:{_STRING}|{_BYTES}|\?[01]|-?[0-9]{{1,15}}(?:\.[0-9]{{1,3}})?|{_TOKEN})"
_PARAMETERS = rf"(?:;{_KEY}(?:={_BARE})?)*"
_LIST = rf"\((?:{_STRING}{_PARAMETERS}(?: {_STRING}{_PARAMETERS})*)?\)"

_MEMBER = re.compile(rf"({_KEY})=((?:{_LIST}|{_BARE}){_PARAMETERS})")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_PARAMETER = re.compile(rf";({_KEY})(?:=({_BARE}))?")
_ITEM = re.compile(rf"({_STRING})({_PARAMETERS})")
_INNER_LIST = re.compile(rf"({_LIST})({_PARAMETERS})")
_ESCAPE = re.compile(r"\\(.)")


class Item(NamedTuple):
    text: str
    """As it was sent, with its parameters."""
    value: str
    parameters: dict[str, str]


def read_dictionary(text: str) -> dict[str, str]:
    """Its members; RFC 9651 lets the last of two equal ones count, and we none."""
    members: dict[str, str] = {}
    at, goes_on = 0, True
    while goes_on:
        member = _MEMBER.match(text, at)
        if member is None or member[1] in members or len(text) > _LONGEST:
            raise ValueError("no dictionary")
        members[member[1]] = member[2]
        comma = _COMMA.match(text, member.end())
        at, goes_on = (comma or member).end(), comma is not None
    if at < len(text):
        raise ValueError("no dictionary")
    return members


def read_strings(text: str) -> tuple[list[Item], dict[str, str]]:
    """An inner list of strings, and its parameters."""
    found = _INNER_LIST.fullmatch(text)
    if found is None:
        raise ValueError("no list of strings")
    items = [Item(one[0], read_string(one[1]), _parameters(one[2])) for one in _ITEM.finditer(found[1])]
    return items, _parameters(found[2])


def read_string(text: str) -> str:
    if not re.fullmatch(_STRING, text):
        raise ValueError("no string")
    return _ESCAPE.sub(r"\1", text[1:-1])


def write_string(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def read_bytes(text: str) -> bytes:
    content = base64.b64decode(text[1:-1], validate=True) if re.fullmatch(_BYTES, text) else b""
    if write_bytes(content) != text:  # the decoder takes padding in several ways
        raise ValueError("no byte sequence")
    return content


def write_bytes(content: bytes) -> str:
    return f":{base64.b64encode(content).decode()}:"


def _parameters(text: str) -> dict[str, str]:
    """A parameter without a value is true."""
    found = [(one[1], one[2] or "?1") for one in _PARAMETER.finditer(text)]
    if len({name for name, _ in found}) < len(found):
        raise ValueError("a parameter twice")
    return dict(found)
