"""A fixture as an arrival: what intake would have stored, had a vendor sent it for one handler to work on."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from processors.handler import Handler
from receiver.errors import UserError
from receiver.fixture import Fixture, find_fixture, kind_of
from receiver.schemes import Headers, Identity, Key, Request
from receiver.schemes.presets import preset_names
from receiver.settings import Settings, SourceSettings
from receiver.sources import Source, describe_source
from receiver.store.intake import Arrival
from receiver.store.routing import router

KEY = Key("literal:test", b"test")  # nobody verifies: signing makes the vendor's other headers
UNKNOWN = "unknown"

FixtureLike = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """The handler to be given the event, and what the test says about it."""

    handler: Handler
    source: str | None
    type: str | None

    def takes(self, source: str, type_: str) -> bool:
        return bool(router((self.handler.name, *route) for route in self.handler.routes)(source, type_))

    def takes_of(self, source: str) -> bool:
        return bool(router((self.handler.name, of, "*") for of, _ in self.handler.routes)(source, ""))

    @property
    def sources(self) -> list[str]:
        return [source for source, _ in self.handler.routes if "*" not in source]

    def plain_type(self, source: str) -> str | None:
        """The first type that the handler asks for by its whole name."""
        types = (type_ for of, type_ in self.handler.routes if "*" not in type_ and of in (source, "*"))
        return next(types, None)


def posted(wanted: Wanted, fixture: FixtureLike, settings: Settings) -> tuple[Arrival, Settings]:
    """The arrival, and the settings with its source among them.

    Errors: UserError where there is no such fixture, LookupError where the handler does not ask for it.
    """
    if isinstance(fixture, Mapping):
        found = Fixture("a dict", "", "", "", json.dumps(fixture).encode())
    else:
        found = find_fixture(str(fixture), settings.root, settings.sources)
    name = wanted.source or _source(wanted, found, settings)
    settings = _with_source(settings, name)
    source = describe_source(name, settings)
    hint = wanted.type or (found.type if found.folder else wanted.plain_type(name))
    headers = _headers(source, found, hint)
    identities = source.scheme.identify(Request("POST", "", Headers(headers), found.body))
    if not identities:
        raise LookupError("this batch holds no events")
    event = _event(wanted, found, name, identities, hint if isinstance(fixture, Mapping) else None)
    lines = b"\n".join(header + b": " + value for header, value in headers)
    digest = sha256(found.body).digest()
    return Arrival(name, lines, found.body, digest, time.time_ns() // 1000, 0, [event]), settings


def _source(wanted: Wanted, found: Fixture, settings: Settings) -> str:
    """As the fixture is named, or the handler's own source that has fixtures of that preset."""
    if not found.folder and not wanted.sources:
        raise LookupError(f"which source {found.name} is from cannot be seen: say source=")
    typed = found.name.partition("/")[0]
    names = [typed] if typed in settings.sources else []
    if found.folder:
        names.append(found.folder)
    for own in wanted.sources:
        if not found.folder or (own in settings.sources and kind_of(settings.sources[own]) == found.folder):
            names.append(own)
    return next(filter(wanted.takes_of, names), names[0])


def _with_source(settings: Settings, name: str) -> Settings:
    """A source that is not configured is the preset of its name, or one whose whole body is the data."""
    if name in settings.sources:
        return settings
    plain = SourceSettings(scheme="hmac", signature="header:X-Signature")
    added = SourceSettings(preset=name) if name in preset_names() else plain
    return settings.model_copy(update={"sources": {**settings.sources, name: added}})


def _headers(source: Source, found: Fixture, type_: str | None) -> list[tuple[bytes, bytes]]:
    id_ = found.header_id(source.preset)
    try:
        signed = source.scheme.sign(found.body, KEY, time.time(), url="http://localhost/", id=id_, type=type_).headers
    except UserError:  # no vendor would send it so; the handler is given it all the same
        signed = []
    headers = {name.lower().encode(): value.encode() for name, value in signed}
    return list({b"content-type": b"application/json", **headers}.items())


def _event(
    wanted: Wanted, found: Fixture, source: str, identities: Sequence[Identity], fallback: str | None
) -> Identity:
    """Of a batch the first item that the handler asks for."""
    first = identities[0]
    stated = [(one.type, one) for one in identities if one.type != UNKNOWN]
    if wanted.type:
        stated = [(wanted.type, first)]
    elif found.folder and first.item is None:
        stated = [(found.type, first)]
    elif fallback:
        stated.append((fallback, first))
    stated = stated or [(wanted.plain_type(source) or UNKNOWN, first)]
    for type_, one in stated:
        if wanted.takes(source, type_):
            return Identity(one.external_id, type_, one.vendor_id, one.item)
    asks = ", ".join("/".join(route) for route in wanted.handler.routes)
    raise LookupError(f"the handler {wanted.handler.name!r} does not take {source}/{stated[0][0]}: it asks for {asks}")
