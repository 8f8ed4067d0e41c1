"""Where a value stands: `header:NAME`, `body:a.b[0]`, `query:NAME` and more, a list or a template of them; pure.

`body:` is an item where the body is a batch of them, and `delivery:` always the whole of it. `name:a` is no value but
the name of one: of the first member of the object there that holds a list or an object. Compiled once.

What the value means (an id, a time, a signature) is for whoever asks.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

from receiver.errors import UserError
from receiver.schemes import Headers, parse_fields

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KEY, _INDEX = r"[^.\[\]{}]+", r"\[[0-9]{1,9}\]"
_PATH = re.compile(rf"(?:(?:{_KEY}|{_INDEX})(?:\.{_KEY}|{_INDEX})*)?")
_STEP = re.compile(rf"{_KEY}|{_INDEX}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DOT = re.compile(r"\.(?![^{}]*\})")
_BIGGEST_INTEGER = 10**255


class Readable(Protocol):
    """What locators look into: a request, or one item of a batch with the request's headers."""

    @property
    def headers(self) -> Headers: ...

    @property
    def payload(self) -> Any: ...

    @property
    def delivery(self) -> Any: ...

    @property
    def query(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A payload that is not, or not the whole of, a request's body."""

    headers: Headers
    payload: Any
    delivery: Any = None
    query: bytes = b""


class ReadsHeaders(Protocol):
    @property
    def header_names(self) -> tuple[str, ...]:
        """The headers it reads, as they were written."""


class Locator(ReadsHeaders, Protocol):
    def find(self, source: Readable) -> Any:
        """The value, bytes for a header; None where it is not there."""

    def solve(self, text: str, payload: Any) -> list[tuple[str, str]]:
        """The headers that make `find` give this text."""


@dataclass(frozen=True, slots=True)
class Header:
    name: str
    _key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", self.name.lower().encode())

    @property
    def header_names(self) -> tuple[str, ...]:
        return (self.name,)

    def find(self, source: Readable) -> bytes | None:
        return source.headers.first.get(self._key) or None

    def solve(self, text: str, payload: Any) -> list[tuple[str, str]]:
        return [(self.name, text)]


def follow(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def put(value: Any, steps: Sequence[str | int], new: Any) -> bool:
    """Whether there was a place for it; objects on the way are made."""
    *above, last = steps
    for step in above:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.setdefault(step, {})
        elif (value := follow(value, [step])) is None:
            return False
    fits = isinstance(value, dict) if isinstance(last, str) else isinstance(value, list) and last < len(value)
    if fits:
        value[last] = new
    return fits


class _InNoHeader:
    """Nothing that is sent in a header of its own."""

    __slots__ = ()

    @property
    def header_names(self) -> tuple[str, ...]:
        return ()

    def solve(self, text: str, payload: Any) -> list[tuple[str, str]]:
        return []


@dataclass(frozen=True, slots=True)
class Body(_InNoHeader):
    steps: tuple[str | int, ...]

    def find(self, source: Readable) -> Any:
        return follow(source.payload, self.steps)


@dataclass(frozen=True, slots=True)
class Whole(_InNoHeader):
    steps: tuple[str | int, ...]

    def find(self, source: Readable) -> Any:
        return follow(source.delivery, self.steps)


@dataclass(frozen=True, slots=True)
class Name(_InNoHeader):
    steps: tuple[str | int, ...]

    def find(self, source: Readable) -> str | None:
        members = follow(source.delivery, self.steps)
        named = members.items() if isinstance(members, dict) else ()
        return next((name for name, value in named if isinstance(value, list | dict)), None)


@dataclass(frozen=True, slots=True)
class Query(_InNoHeader):
    name: str

    def find(self, source: Readable) -> str | None:
        return parse_fields(source.query).get(self.name) if source.query else None


@dataclass(frozen=True, slots=True)
class First:
    choices: tuple[Locator, ...]

    @property
    def header_names(self) -> tuple[str, ...]:
        return tuple(name for choice in self.choices for name in choice.header_names)

    def find(self, source: Readable) -> Any:
        for choice in self.choices:
            value = choice.find(source)
            if value is not None:
                return value
        return None

    def solve(self, text: str, payload: Any) -> list[tuple[str, str]]:
        return next((headers for choice in self.choices if (headers := choice.solve(text, payload))), [])


@dataclass(frozen=True, slots=True)
class Template:
    """Segments joined with dots, each of texts and locators; a segment that lacks a part is left out."""

    segments: tuple[tuple[str | Locator, ...], ...]

    @property
    def header_names(self) -> tuple[str, ...]:
        parts = (part for segment in self.segments for part in segment)
        return tuple(name for part in parts if not isinstance(part, str) for name in part.header_names)

    def find(self, source: Readable) -> str | None:
        return ".".join(text for segment in self.segments if (text := _join(segment, source))) or None

    def solve(self, text: str, payload: Any) -> list[tuple[str, str]]:
        source = Part(Headers([]), payload)
        patterns = {segment: pattern for segment in self.segments if (pattern := _pattern(segment, source))}
        match = re.fullmatch(r"\.".join(patterns.values()), text)
        names = Template(tuple(patterns)).header_names
        return list(zip(names, match.groups(), strict=True)) if match else []


def _join(segment: tuple[str | Locator, ...], source: Readable) -> str | None:
    texts = [part if isinstance(part, str) else _written(part.find(source)) for part in segment]
    return None if None in texts else "".join(text for text in texts if text)


def _written(value: Any) -> str | None:
    """As text, for a template; there a flag counts too: its name where it is set, and nothing where it is not."""
    return "true" if value is True else text_of(value)


def _pattern(segment: tuple[str | Locator, ...], source: Readable) -> str | None:
    """The texts that a segment can make, with a group for each header; None where the body lacks its part."""
    pattern = ""
    for part in segment:
        if isinstance(part, str):
            pattern += re.escape(part)
        elif part.header_names:
            pattern += "(.+?)"
        elif (text := text_of(part.find(source))) is not None:
            # The body may have been edited since its type was written down, so another value fits as well.
            pattern += f"(?:{re.escape(text)}|[^.]+)"
        else:
            return None
    return pattern


def query_names(place: Locator | str) -> Iterator[str]:
    """The fields of the query that it reads."""
    match place:
        case Query(name):
            yield name
        case First(choices):
            yield from chain.from_iterable(map(query_names, choices))
        case Template(segments):
            yield from chain.from_iterable(map(query_names, chain.from_iterable(segments)))


def text_of(value: Any) -> str | None:
    """Text, an integer in decimal, or a header in UTF-8; None for everything else and for nothing."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bytes):
        try:
            return value.decode() or None
        except UnicodeDecodeError:
            return None
    # Text of a huge integer raises ValueError, and costs time that grows with its square.
    return str(value) if type(value) is int and abs(value) < _BIGGEST_INTEGER else None


def bytes_of(value: Any) -> bytes:
    """The same as bytes, where it is a signature or a token that is compared."""
    return value if isinstance(value, bytes) else (text_of(value) or "").encode("utf-8", "replace")


def compile_locator(text: str | Sequence[str], where: str) -> Locator:
    if not isinstance(text, str):
        choices = tuple(compile_locator(one, where) for one in text)
        if not choices:
            raise _bad("[]", where)
        return choices[0] if len(choices) == 1 else First(choices)
    return _template(text, where) if "{" in text else _simple(text, where)


def compile_key(keys: Mapping[str, Any], name: str, where: str) -> Locator | None:
    return compile_locator(keys[name], f"{where} {name}") if name in keys else None


@dataclass(frozen=True, slots=True)
class Items:
    """The lists that a batch's items stand in, each a path in parts: what stands between two is a list's element."""

    paths: tuple[tuple[tuple[str | int, ...], ...], ...]

    def find(self, payload: Any) -> list[Any] | None:
        """The items in their order; None where the payload is no batch."""
        return _expand(payload, self.paths)


def _expand(value: Any, paths: Sequence[Sequence[tuple[str | int, ...]]]) -> list[Any] | None:
    found: list[Any] | None = None
    for first in dict.fromkeys(path[0] for path in paths):
        elements = follow(value, first)
        if not isinstance(elements, list):
            continue
        deeper = [path[1:] for path in paths if path[0] == first and len(path) > 1]
        found = found or []
        if not deeper:
            found += elements
            continue
        for element in elements:
            # One in which no path goes on is an item itself: nothing of a batch may be lost without a word.
            inner = _expand(element, deeper)
            found += [element] if inner is None else inner
    return found


def compile_items(text: str | Sequence[str], where: str) -> Items:
    """Written `body:events[*]`, `body:entry[*].changes[*]` or as a list of such: all of them count."""
    return Items(tuple(_items(one, where) for one in ([text] if isinstance(text, str) else text)))


def _items(text: str, where: str) -> tuple[tuple[str | int, ...], ...]:
    if not text.startswith("body:") or not text.endswith("[*]"):
        raise UserError(f"{text!r} names no items", where, "write it like body:events[*]")
    parts = text.removeprefix("body:").removesuffix("[*]").split("[*]")
    return tuple(_steps(text, part.removeprefix("."), where) for part in parts)


def _template(text: str, where: str) -> Template:
    return Template(tuple(_segment(segment, where) for segment in _DOT.split(text)))


def _segment(text: str, where: str) -> tuple[str | Locator, ...]:
    pieces = _PLACEHOLDER.split(text)
    if any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise _bad(text, where)
    parts = (_simple(piece, where) if odd % 2 else piece for odd, piece in enumerate(pieces))
    return tuple(part for part in parts if part != "")


_BY_STEPS: Mapping[str, Callable[[tuple[str | int, ...]], Locator]] = {"body": Body, "delivery": Whole, "name": Name}


def _simple(text: str, where: str) -> Locator:
    kind, _, rest = text.partition(":")
    if kind == "header" and _NAME.fullmatch(rest):
        return Header(rest)
    if kind == "query" and rest:
        return Query(rest)
    if kind in _BY_STEPS and ":" in text:
        return _BY_STEPS[kind](_steps(text, rest, where))
    raise _bad(text, where)


def _steps(text: str, path: str, where: str) -> tuple[str | int, ...]:
    if not _PATH.fullmatch(path):
        raise _bad(text, where)
    return tuple(int(step[1:-1]) if step[0] == "[" else step for step in _STEP.findall(path))


def _bad(text: str, where: str) -> UserError:
    return UserError(
        f"{text!r} names no place in a request", where, "write header:NAME, body:a.b[0], query:NAME or a list of them"
    )
