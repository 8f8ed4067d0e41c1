"""What a new project does about an event of a vendor, made of the fixture that is shipped for it.

Which types its handler takes, what it reads of the data, what it notes down. How that is written is `templates.py`'s.
"""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from receiver.fixture import Fixture, shipped
from receiver.schemes import Headers, Request, Scheme

_CHOSEN: Final = {
    "github": ("pull_request.opened", "pull request"),
    "hmac": ("order.created", "order"),
    "shopify": ("orders/create", "order"),
    "slack": ("app_mention", "mention"),
    "standardwebhooks": ("invoice.paid", "invoice"),
    "stripe": ("payment_intent.succeeded", "payment"),
}
"""Of those with several fixtures the one to begin with, and what it is about."""
_TELLING: Final = (
    *("id", "order", "number", "amount", "total", "total_price", "currency", "name", "title", "subject", "text"),
    *("user", "channel", "email", "reference", "code", "action", "status", "state", "type"),
)
"""What people want to know of a thing, and mostly find under these names."""
_WRITTEN: Final = frozenset(("name", "title", "subject", "text", "email", "reference"))
"""Of those what somebody has written, or has not: other events of the type may lack it, or hold null."""
_MOST_FIELDS: Final = 4
_MOST_WORDS: Final = 3
_DATA: Final = "event.data"
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is read of an event's data, as code: `classes` it needs, innermost first, and `kind` is the type's name."""

    kind: str
    classes: tuple[str, ...]
    values: tuple[str, ...]
    """Where each field stands that is read."""


@dataclass(frozen=True, slots=True)
class Example:
    fixture: Fixture
    types: tuple[str, ...]
    """More than one only where the fixture is a batch of several."""
    thing: str
    samples: tuple[Any, ...]
    """The data of its events."""

    def shape(self, kind: str) -> Shape:
        text = all(isinstance(sample, str) for sample in self.samples)
        return _shape(kind, self.samples, _DATA) or Shape("str" if text else "object", (), (_DATA,))


def example_of(folder: str, scheme: Scheme) -> Example:
    """Of the fixtures in a folder, which the scheme reads."""
    name, thing = _CHOSEN.get(folder, ("", ""))
    fixture = next(one for one in shipped(folder) if name in ("", one.type))
    body = fixture.body
    events = scheme.identify(Request("POST", "", Headers([]), body, parse=scheme.parse))
    # A type may stand in a header; but then there is one event, and the fixture is called like it.
    types = dict.fromkeys(fixture.type if event.item is None else event.type for event in events)
    samples = tuple(scheme.data(scheme.payload(body, event.item)) for event in events)
    return Example(fixture, tuple(types), thing or _about(fixture.type), samples)


def _about(type_: str) -> str:
    """The type in words, without what leads to it where it has many."""
    *above, last = [words(part) for part in re.split(r"[.:/]", type_)]
    while above and sum(map(len, above)) + len(last) > _MOST_WORDS:
        del above[0]
    return " ".join(word for part in (*above, last) for word in part)


def words(text: str) -> list[str]:
    """`PAYMENT.CAPTURE`, `blobCreated` and `repo:push` as words in small letters."""
    return [word.lower() for word in _WORD.findall(text)]


def _shape(kind: str, samples: Sequence[Any], place: str) -> Shape | None:
    """Of what all samples have: its own telling fields, else those of something in it, else any of its own."""
    if not samples or not all(isinstance(sample, Mapping) for sample in samples):
        return None
    names = [name for name in samples[0] if _usable(name) and all(name in sample for sample in samples)]
    plain = {name: found for name in names if (found := _plain([sample[name] for sample in samples]))}
    if any(map(_telling, plain)):
        return _flat(kind, plain, place)
    for name in names:
        inner = f"{kind}{''.join(word.capitalize() for word in words(name))}"
        below = _shape(inner, [sample[name] for sample in samples], f"{place}.{name}")
        if below is not None:
            return Shape(kind, (*below.classes, _class(kind, {name: below.kind})), below.values)
    return _flat(kind, plain, place) if plain else None


def _flat(kind: str, plain: Mapping[str, str], place: str) -> Shape:
    names = sorted(plain, key=_rank)[:_MOST_FIELDS]
    chosen = {name: f"{plain[name]} | None = None" if _last(name) in _WRITTEN else plain[name] for name in names}
    return Shape(kind, (_class(kind, chosen),), tuple(f"{place}.{name}" for name in chosen))


def _class(kind: str, fields: Mapping[str, str]) -> str:
    return "\n    ".join([f"class {kind}(BaseModel):", *(f"{name}: {type_}" for name, type_ in fields.items())])


def _usable(name: str) -> bool:
    """Whether a model may have a field of this name."""
    taken = keyword.iskeyword(name) or name.startswith("_") or hasattr(BaseModel, name)
    return name.isidentifier() and not taken


def _plain(values: Sequence[Any]) -> str | None:
    kinds = {type(value) for value in values}
    return kinds.pop().__name__ if len(kinds) == 1 and kinds <= {str, int, float, bool} else None


def _telling(name: str) -> bool:
    return _rank(name) < 2 * len(_TELLING)


def _rank(name: str) -> int:
    """`id` comes before `user_id`, of which only the last word tells something, and that before what tells nothing."""
    if name in _TELLING:
        return _TELLING.index(name)
    last = _last(name)
    return len(_TELLING) + (_TELLING.index(last) if last in _TELLING else len(_TELLING))


def _last(name: str) -> str:
    """Its last word; of a name without any, nothing."""
    return "".join(words(name)[-1:])
