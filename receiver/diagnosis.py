"""Why a signature does not fit: what often goes wrong is tried until something makes it fit. It accepts nothing.

Pure: values in, values out. The signature that was expected is never told, since who knows it can forge. Which request
is looked at, and how it is shown, stands in `cli/signature.py`.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from receiver.errors import UserError
from receiver.headers import NOT_KEPT
from receiver.schemes import Key, Refused, Request, Scheme, parse_fields
from receiver.schemes.secret import ENCODINGS

_BOM: Final = b"\xef\xbb\xbf"
_KEEP_BYTES: Final = "Have it pass the body on byte by byte: a proxy, a framework, a tool that shows or copies it"


@dataclass(frozen=True, slots=True)
class Secret:
    """One that is configured, as its text: how it is decoded is one of the things that may be wrong."""

    source: str
    reference: str
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A request, when it came, and what it was checked with. `make` builds a scheme of a source's merged keys."""

    source: str
    keys: Mapping[str, Any]
    request: Request
    received_at: float
    own_keys: Sequence[Key]
    """Ended ones too."""
    own: Sequence[Secret]
    others: Sequence[Secret]
    """The secrets of all other sources."""
    presets: Mapping[str, Mapping[str, Any]]
    make: Callable[[Mapping[str, Any]], Scheme]


@dataclass(frozen=True, slots=True)
class Cause:
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing that may have gone wrong: with it undone, does the signature fit?"""

    what: str = ""
    fix: str = ""
    keys: Mapping[str, Any] | None = None
    """The source's, if it had been configured so."""
    body: bytes | None = None
    url: str | None = None
    secret: Secret | None = None


def causes(case: Case) -> list[Cause]:
    """What would explain it, the likeliest first; empty where nothing that is known of does."""
    plain = _fitting(case, _Change())
    if plain is not None:
        return plain
    found = [cause for change in _changes(case) for cause in _fitting(case, change) or ()]
    return found or _by_two(case)


def hint(case: Case) -> Cause:
    """Nothing fits. What the request says of itself may still help."""
    payload = case.request.payload
    mode = payload.get("livemode") if isinstance(payload, dict) else None
    if isinstance(mode, bool):
        name = "live" if mode else "test"
        what = f"none of the secrets fits, and the event is of {name} mode"
        return Cause(what, f"The vendor has a secret of its own for {name} mode: add it to secrets")
    if any(value == NOT_KEPT for _, value in case.request.headers.raw):
        fix = "Compare the fingerprint in postern sources with what the vendor has"
        return Cause("what it was sent with is a credential and not kept, so nothing can be tried", fix)
    names = dict.fromkeys(name.decode("latin-1") for name, _ in case.request.headers.raw)
    signed = [name for name in names if "sign" in name or "hmac" in name]
    seen = f"it has {', '.join(signed)}" if signed else "it has no header that looks like a signature"
    return Cause(
        f"nothing that is known of makes it fit; {seen}", "Compare the secret and the preset with the vendor's"
    )


def _by_two(case: Case) -> list[Cause]:
    """Another secret and another body at once, where neither alone explains it."""
    for secret, body in product(chain(_secrets(case), _decoded(case)), _bodies(case.request)):
        both = replace(secret, what=f"{secret.what}; and {body.what}", fix=f"{secret.fix}. {body.fix}", body=body.body)
        if (cause := _fitting(case, both)) is not None:
            return cause
    return []


def _fitting(case: Case, change: _Change) -> list[Cause] | None:
    """The causes, if it fits with that change: the clock may be wrong besides."""
    try:
        scheme = case.make(change.keys or case.keys)
    except UserError:
        return None
    old = case.request
    body, url = (old.body if change.body is None else change.body), change.url or old.url
    request = Request(old.method, url, old.headers, body, old.query, scheme.parse)
    for keys in _keys(scheme, change, case):
        key, off_s = _fit(scheme, request, keys, case.received_at)
        if key is not None or off_s:
            return [cause for cause in (_changed(change, key), _clock(off_s)) if cause]
    return None


def _keys(scheme: Scheme, change: _Change, case: Case) -> Iterator[Sequence[Key]]:
    """What to verify with: the source's keys together, or a secret's text as this scheme reads it."""
    if change.keys is None and change.secret is None:
        yield case.own_keys
        return
    for secret in [change.secret] if change.secret else case.own:
        with suppress(UserError):
            yield [scheme.key(secret.reference, secret.text, "")]


def _fit(scheme: Scheme, request: Request, keys: Sequence[Key], at: float) -> tuple[Key | None, float]:
    """The key that fits; and by how many seconds our clock was ahead of the sender's, if by more than allowed."""
    try:
        return scheme.verify(request, keys, at).key, 0.0
    except Refused as refused:
        is_late = refused.claimed_at is not None and refused.code.startswith("timestamp_")
        return None, at - refused.claimed_at if is_late and refused.claimed_at is not None else 0.0


def _changed(change: _Change, key: Key | None) -> Cause | None:
    if change.what:
        return Cause(change.what, change.fix)
    if key is not None and key.not_after is not None:  # one that is live would have verified it
        fix = "Have the vendor sign with the new one, or give the old one a later not_after"
        return Cause(f"it is signed with {key.reference}, which has ended", fix)
    return None


def _clock(off_s: float) -> Cause | None:
    if not off_s:
        return None
    side, other = ("ahead of", "late") if off_s > 0 else ("behind", "early")
    what = f"the signature is right, but our clock was {abs(off_s):.0f} s {side} the time in it"
    return Cause(what, f"Compare the machine's clock (postern doctor); else it was sent {other}, maybe by a stranger")


# ── what may have gone wrong ──


def _changes(case: Case) -> Iterator[_Change]:
    yield from _secrets(case)
    yield from _decoded(case)
    yield from _bodies(case.request)
    yield from _addresses(case)
    yield from _written(case)
    yield from _presets(case)


def _secrets(case: Case) -> Iterator[_Change]:
    for secret in case.others:
        what = f"it is signed with {secret.reference}, the secret of the source {secret.source}"
        fix = f"Have it sent to /webhooks/{secret.source}, or give {case.source} that secret"
        yield _Change(what, fix, secret=secret)


def _decoded(case: Case) -> Iterator[_Change]:
    """The secret's text means other bytes."""
    for secret in case.own:
        for text in {secret.text.strip(), secret.text + b"\n", secret.text.strip(b"\"'")} - {secret.text}:
            what = f"{secret.reference} holds white space or quotes that do not belong to it, or lacks a newline"
            yield _Change(what, "Copy the secret again, without what is around it", secret=replace(secret, text=text))
        for encoding, prefix in product(ENCODINGS, {"", "whsec_", case.keys.get("secret_prefix", "")}):
            what = f"{secret.reference} has to be read as {encoding}" + (f" after {prefix}" if prefix else "")
            fix = f'Set secret_encoding = "{encoding}" and secret_prefix = "{prefix}"'
            yield _Change(what, fix, {**case.keys, "secret_encoding": encoding, "secret_prefix": prefix}, secret=secret)


def _bodies(request: Request) -> Iterator[_Change]:
    """The bytes that came are not those that were signed."""
    body = request.body
    for what, before in chain(_ends(body), _coded(body), _serialised(body)):
        if before != body:
            yield _Change(f"the body is not the one that was signed: {what}", _KEEP_BYTES, body=before)


def _ends(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "a newline was added at its end", body.removesuffix(b"\n").removesuffix(b"\r")
    yield "the newline at its end was cut off", body + b"\n"
    yield "the newline (CR LF) at its end was cut off", body + b"\r\n"
    yield "a byte order mark was put before it", body.removeprefix(_BOM)
    yield "the byte order mark before it was cut off", _BOM + body
    yield "its line ends became CR LF", body.replace(b"\r\n", b"\n")
    yield "its line ends became LF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "it is gone: an empty one was signed", b""


def _coded(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "it was decompressed", gzip.compress(body, mtime=0)
    yield "it was decompressed", zlib.compress(body)
    yield "it was form-decoded once more", body.replace(b"%", b"%25").replace(b"+", b"%2B").replace(b" ", b"+")
    yield "it was form-encoded", unquote_to_bytes(body.replace(b"+", b" "))
    for name, value in parse_fields(body).items():
        yield f"it was put into the form field {name!r}", value.encode("utf-8", "replace")
    try:
        text = body.decode()
        yield "its text was encoded as UTF-8 twice", text.encode("latin-1")
    except UnicodeError:
        yield "its text was written in another encoding than UTF-8", body.decode("latin-1").encode()


def _serialised(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return
    layouts: list[dict[str, Any]] = [{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}]
    for layout, ascii_only, sort_keys in product(layouts, (False, True), (False, True)):
        text = json.dumps(payload, ensure_ascii=ascii_only, sort_keys=sort_keys, **layout)
        yield "its JSON was parsed and written anew", text.encode("utf-8", "replace")
    yield "its slashes lost their backslashes", body.replace(b"/", b"\\/")
    yield "its slashes got backslashes", body.replace(b"\\/", b"/")


def _addresses(case: Case) -> Iterator[_Change]:
    """The vendor signs the address it calls, and that is another one than we believe."""
    if "public_url" not in case.make(case.keys).used:
        return
    try:
        parts = urlsplit(case.request.url)
    except ValueError:  # the Host header may hold anything
        return
    asked = (case.request.headers.get("host") or b"").decode("latin-1")
    hosts = {parts.netloc, asked, parts.hostname or "", f"{parts.hostname}:443", f"{parts.hostname}:80"}
    paths = {parts.path, f"/webhooks/{case.source}", parts.path.rstrip("/"), f"{parts.path.rstrip('/')}/"}
    for scheme, host, path, query in product(("https", "http"), sorted(hosts), sorted(paths), {parts.query, ""}):
        url = parts._replace(scheme=scheme, netloc=host, path=path, query=query).geturl()
        fix = f'Set public_url = "{url.partition("?")[0]}" in [sources.{case.source}]'
        yield _Change(f"the vendor signed the address {url}", fix, url=url)


_OTHERWISE: Final[Mapping[str, Sequence[str]]] = {
    "encoding": ("hex", "base64"),
    "hash": ("sha1", "sha256", "sha512"),
    "timestamp_unit": ("s", "ms", "iso"),
    "signature_format": ("{signature}", "sha256={signature}", "sha1={signature}", "v1={signature}"),
    "content": ("{body}", "{timestamp}.{body}", "{timestamp}{body}", "{timestamp}:{body}", "{id}.{timestamp}.{body}"),
}


def _written(case: Case) -> Iterator[_Change]:
    """The signature is of another kind than the source's keys say; of these one alone, or the first two together."""
    if case.keys.get("scheme") != "hmac":
        return
    for name, values in _OTHERWISE.items():
        for value in values:
            yield _Change(
                f"the signature is made with {name} = {value}", f'Set {name} = "{value}"', {**case.keys, name: value}
            )
    for encoding, hash in product(_OTHERWISE["encoding"], _OTHERWISE["hash"]):
        keys = {**case.keys, "encoding": encoding, "hash": hash}
        yield _Change(f"the signature is {hash} in {encoding}", f'Set encoding = "{encoding}", hash = "{hash}"', keys)


def _presets(case: Case) -> Iterator[_Change]:
    for name, keys in case.presets.items():
        for secret in (*case.own, *case.others):
            what = f"it is signed as the preset {name} says, with {secret.reference} of the source {secret.source}"
            yield _Change(what, f'Set preset = "{name}", or have it sent to such a source', keys, secret=secret)
