"""A fixture becomes the request that its vendor would send now: which source, which id, which bytes, signed.

Values in, values out; posting is `send.py`'s business.
"""

import json
import random
import re
import string
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic_core import from_json

from receiver.errors import UserError
from receiver.fixture import Fixture, in_form, kind_of
from receiver.schemes import Headers, Refused, Request, parse_body, parse_fields
from receiver.schemes.locator import Body, compile_locator, put
from receiver.settings import Settings
from receiver.sources import Source

_PREFIX = re.compile(r"[A-Za-z]+[_-]|[A-Z][a-z]|")
_LEAST_RANDOM = 12
_ALIKE = ("123456789", string.ascii_lowercase, string.ascii_uppercase)


@dataclass(frozen=True, slots=True)
class Outgoing:
    fixture: Fixture
    source: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_handshake: bool
    ids: tuple[str, ...] = ()
    """Of its events, where the answer does not tell, for it is one that the vendor prescribes."""


def choose_source(fixture: Fixture, wanted: str | None, settings: Settings) -> str:
    """The source whose name the fixture's folder has; else the only one of that preset."""
    if wanted is not None:
        if wanted in settings.sources:
            return wanted
        near = get_close_matches(wanted, settings.sources, 1)
        raise UserError(f"there is no source {wanted!r}", "--source", _one_of(near or list(settings.sources)))
    if fixture.folder in settings.sources:
        return fixture.folder
    fitting = [name for name, source in settings.sources.items() if kind_of(source) == fixture.folder]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{fixture.name} fits several sources", fix=_one_of(fitting))
    where = str(settings.path or settings.root / "postern.toml")
    if not fixture.folder:
        raise UserError(f"which source {fixture.name} is from cannot be seen", fix=_one_of(list(settings.sources)))
    raise UserError(f"there is no source for {fixture.name}", where, f"Add [sources.{fixture.folder}] to it")


def _one_of(names: list[str]) -> str:
    return f"Add --source {' or '.join(names)}" if names else "Add a source to postern.toml: postern init shows how"


def outgoing(
    fixture: Fixture, body: bytes, source: Source, target: str, public_url: str | None, *, new: bool
) -> Outgoing:
    """`body`, which is the fixture's or made of it, signed now with the source's newest secret."""
    source = replace(source, keys=source.live_keys(time.time()))
    if not source.keys:
        where, fix = f"[sources.{source.name}] secrets", 'Add secrets = ["env:NAME"]'
        if source.vendor is not None:
            fix += " with a private key of your own, to try it: the vendor's is the vendor's"
        raise UserError(f"the source {source.name} has no secret to sign with", where, fix)
    url = _signed_url(source, target, public_url)
    id = in_form(source.preset, uuid.uuid4()) if new else fixture.header_id(source.preset)
    request = _signed(fixture, source, url, id, body)
    is_handshake = _is_handshake(request, source)
    if new and not is_handshake:
        request = _signed(fixture, source, url, id, _with_new_ids(request, source, id))
    query = request.query.decode("latin-1")
    target += f"{'&' if urlsplit(target).query else '?'}{query}" if query else ""
    ids = _ids(request, source) if source.answer and not is_handshake else ()
    return Outgoing(fixture, source.name, target, list(request.headers.raw), request.body, is_handshake, tuple(ids))


def _is_handshake(request: Request, source: Source) -> bool:
    try:
        return any(source.scheme.greet(request, source.keys, verified=verified) for verified in (False, True))
    except Refused:
        return True  # and the receiver will say what is wrong with it


def _signed_url(source: Source, target: str, public_url: str | None) -> str:
    """The address as the receiver will see it: it may be told another one than we post to."""
    path, query = f"/webhooks/{source.name}", urlsplit(target).query
    base = source.public_url or (public_url and public_url.rstrip("/") + path)
    return target if not base else f"{base}?{query}" if query else base


def _signed(fixture: Fixture, source: Source, url: str, id: str, body: bytes) -> Request:
    signed = source.scheme.sign(body, source.keys[0], time.time(), url=url, id=id, type=fixture.type)
    raw = [(name.lower().encode(), value.encode()) for name, value in signed.headers]
    if not any(name == b"content-type" for name, _ in raw):
        raw.append((b"content-type", b"application/json"))
    return Request("POST", url, Headers(raw), signed.body, signed.query.encode(), source.scheme.parse)


# ── a new id ──


def _with_new_ids(request: Request, source: Source, header_id: str) -> bytes:
    """The body with a new id for each event that has its id there; all other bytes stay."""
    ids = _ids(request, source)
    for number, identity in enumerate(source.scheme.identify(request)):
        if not identity.vendor_id:
            what = f"the source {source.name} has no event ids: equal bytes are one event"
            raise UserError(what, fix="Change something instead: --set path=value")
        if identity.external_id != header_id:
            ids[number] = new_id(identity.external_id)
            request = _replaced(request, source, identity.external_id, ids[number], ids)
    return request.body


def _ids(request: Request, source: Source) -> list[str]:
    return [identity.external_id for identity in source.scheme.identify(request)]


def _replaced(request: Request, source: Source, old: str, new: str, wanted: list[str]) -> Request:
    """Where the id stands is found by trying: in the right place the new one makes the scheme read the wanted ids."""
    as_text = ((json.dumps(old, ensure_ascii=ascii), json.dumps(new, ensure_ascii=ascii)) for ascii in (False, True))
    last = old.rpartition(":")[2], new.rpartition(":")[2]
    for was, becomes in (*as_text, (old, new), last):
        for found in re.finditer(re.escape(was.encode()), request.body):
            body = request.body[: found.start()] + becomes.encode() + request.body[found.end() :]
            tried = Request(request.method, request.url, request.headers, body, request.query, source.scheme.parse)
            if _ids(tried, source) == wanted:
                return tried
    raise UserError(f"the id {old} was not found in the body", fix="Give it a new one with --set path=value")


def new_id(old: str) -> str:
    """An id of the old one's form: what comes first stays, digits become other digits, letters other letters."""
    first, colon, last = old.rpartition(":")
    if colon:  # made of several values
        return f"{first}:{new_id(last)}"
    try:
        uuid.UUID(old)
    except ValueError:
        found = _PREFIX.match(old)
        prefix = found[0] if found else ""
        tail = old[len(prefix) :].ljust(_LEAST_RANDOM, "0")
        return prefix + "".join(_another(character) for character in tail)
    return str(uuid.uuid4())


def _another(character: str) -> str:
    alike = next((letters for letters in _ALIKE if character in letters or character == "0"), character)
    return random.choice(alike)


# ── other values ──


def with_values(body: bytes, assignments: Sequence[str]) -> bytes:
    """The body with `path=value` put into it; a value is JSON, or else a text. In a form it is one of the fields."""
    if not assignments:
        return body
    payload = parse_body(body)
    form = dict(reversed(parse_fields(body).items())) if payload is None else {}  # in their order
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        steps = _steps(path)
        if not equals or not steps:
            fix = "Write it like data.object.amount=500 or lines[0].sku=LQ-30"
            raise UserError(f"{assignment!r} does not say what to set", "--set", fix, exit_code=2)
        if path in form:
            form[path] = text
        elif not put(payload, steps, _value(text)):
            raise UserError(f"the fixture has no place for {path}", "--set")
    if form:
        return urlencode(form).encode()
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _steps(path: str) -> tuple[str | int, ...]:
    try:
        located = compile_locator(f"body:{path}", "--set")
    except UserError:
        return ()
    return located.steps if isinstance(located, Body) else ()


def _value(text: str) -> Any:
    try:
        return from_json(text.encode("utf-8", "surrogateescape"), allow_inf_nan=False)
    except ValueError:
        return text
