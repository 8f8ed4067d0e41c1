"""A source is one configured sender: its preset's keys under the user's, the scheme they make, its secrets.

What a scheme does stands in `receiver.schemes`, what vendors do in `receiver.schemes.presets`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any, Final, NamedTuple

from receiver.errors import UserError
from receiver.headers import SECRET_HEADERS
from receiver.references import Secret
from receiver.schemes import AsksVendor, Key, Scheme, TrustsAnchors
from receiver.schemes.answer import Prescribed, compile_answer
from receiver.schemes.presets import LIST, preset, preset_names
from receiver.settings import Settings, SourceSettings

_MAX_BODY_BYTES: Final = 1024 * 1024
_DEDUPE_WINDOW_S: Final = 72 * 3600.0
_OWN_KEYS: Final = frozenset(
    {
        *("preset", "scheme", "secrets", "max_body_bytes", "dedupe_window_s", "answer"),
        *("docs", "covers", "retries", "redeliver", "proof", "sample_secret"),
    }
)
# By import string: those with public keys load a large library, which most installations have no use for.
_SCHEMES: Final = {
    "hmac": "receiver.schemes.hmac:Hmac",
    "token": "receiver.schemes.token:Token",
    "ed25519": "receiver.schemes.public_key:Ed25519",
    "ecdsa": "receiver.schemes.public_key:Ecdsa",
    "jwt": "receiver.schemes.jwt:Jwt",
    "paypal": "receiver.schemes.paypal:PayPal",
    "aws-sns": "receiver.schemes.aws_sns:AwsSns",
    "plaid": "receiver.schemes.plaid:Plaid",
    "google-pubsub": "receiver.schemes.google_pubsub:GooglePubSub",
    "twilio": "receiver.schemes.twilio:Twilio",
    "adyen": "receiver.schemes.adyen:Adyen",
    "braintree": "receiver.schemes.braintree:Braintree",
    "box": "receiver.schemes.box:Box",
    "contentful": "receiver.schemes.contentful:Contentful",
    "rfc9421": "receiver.schemes.rfc9421:Rfc9421",
}


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    preset: str | None
    scheme: Scheme
    keys: tuple[Key, ...]
    """Newest first, any of them verifies; without one nothing does, unless its vendor serves them."""
    max_body_bytes: int
    dedupe_window_us: int
    public_url: str | None
    """The source's own, without a query; None where the installation's address and the path are meant."""
    docs: str | None
    covers: str | None
    """What the signature protects, in words."""
    retries: str | None
    redeliver: str | None
    """How the vendor is made to send something again, in words."""
    answer: Prescribed | None = None
    vendor: AsksVendor | None = None
    """The scheme once more, where the vendor serves keys."""
    secret_headers: frozenset[bytes] = SECRET_HEADERS
    """In lower case: what stands in these is not kept."""
    secret_fields: frozenset[str] = frozenset()
    """The same of the query."""
    has_ends: bool = False
    """A key ends at some time: `live_keys` are those to verify with."""

    def live_keys(self, now: float) -> tuple[Key, ...]:
        """Without those past their end."""
        return tuple(key for key in self.keys if key.not_after is None or now < key.not_after)


def build_sources(settings: Settings) -> dict[str, Source]:
    return {name: build_source(name, settings) for name in settings.sources}


def build_source(name: str, settings: Settings) -> Source:
    """The source ready to verify and sign; an error where one of its secrets is missing."""
    source = describe_source(name, settings, looked_up=True)
    keys = tuple(build_key(place, settings) for place in key_places(settings.sources[name], source.scheme, name))
    vendor = source.scheme if isinstance(source.scheme, AsksVendor) else None
    return replace(source, keys=keys, vendor=vendor, has_ends=any(key.not_after is not None for key in keys))


class KeyPlace(NamedTuple):
    """A key as it is configured: `where` is for errors, `make` the scheme's."""

    where: str
    reference: Secret
    make: Callable[[str, bytes, str], Key]


def build_key(place: KeyPlace, settings: Settings) -> Key:
    """Errors: UserError where the secret is missing or malformed."""
    return place.make(str(place.reference), settings.resolve(place.reference, place.where), place.where)


def key_places(written: SourceSettings, scheme: Scheme, name: str) -> Iterator[KeyPlace]:
    """Those that its scheme uses: secrets come first, the newest before the older ones."""
    table, used = f"[sources.{name}]", scheme.used
    for key, entries in (("secrets", written.secrets), ("public_keys", written.public_keys or ())):
        for number, entry in enumerate(entries if key == "secrets" or key in used else ()):
            yield KeyPlace(f"{table} {key}[{number}]", entry.ref, partial(_until, scheme, entry.ends_at))
    for kid, reference in (written.keys or {}).items() if "keys" in used else ():
        yield KeyPlace(f"{table} keys.{kid}", reference, partial(_named, scheme, kid))
    if isinstance(scheme, TrustsAnchors):
        for number, reference in enumerate(written.trust_anchors or ()):
            yield KeyPlace(f"{table} trust_anchors[{number}]", reference, scheme.anchor)


def _until(scheme: Scheme, end: float | None, reference: str, secret: bytes, where: str) -> Key:
    """A key may have an end of its own as well: the earlier one counts."""
    key = scheme.key(reference, secret, where)
    ends = [at for at in (key.not_after, end) if at is not None]
    return replace(key, not_after=min(ends)) if ends else key


def _named(scheme: Scheme, kid: str, reference: str, secret: bytes, where: str) -> Key:
    return replace(scheme.key(reference, secret, where), name=kid)


def describe_source(name: str, settings: Settings, *, looked_up: bool = False) -> Source:
    """The source without its keys, for those who only read what it sent: they need not have its secrets."""
    if name not in settings.sources:
        fix = _nearest(name, settings.sources, f"add [sources.{name}]")
        raise UserError(f"there is no source {name!r}", str(settings.path or "postern.toml"), fix)
    where = f"[sources.{name}]"
    keys = merged_keys(name, settings)
    if looked_up and "verify_token" in keys:
        keys["verify_token"] = settings.resolve(keys["verify_token"], f"{where} verify_token")
    scheme = make_scheme(keys, where)
    return Source(
        name=name,
        preset=settings.sources[name].preset,
        scheme=scheme,
        keys=(),
        max_body_bytes=keys.get("max_body_bytes", _MAX_BODY_BYTES),
        dedupe_window_us=round(keys.get("dedupe_window_s", _DEDUPE_WINDOW_S) * 1e6),
        public_url=keys.get("public_url"),
        docs=keys.get("docs"),
        covers=keys.get("covers"),
        retries=keys.get("retries"),
        redeliver=keys.get("redeliver"),
        answer=compile_answer(keys, where),
        secret_headers=SECRET_HEADERS | scheme.credentials,
        secret_fields=scheme.query_credentials,
    )


def unused_keys(name: str, settings: Settings) -> list[str]:
    """The keys that somebody wrote for this source and that change nothing."""
    used = _OWN_KEYS | describe_source(name, settings).scheme.used
    return [key for key in _written(settings.sources[name]) if key not in used]


def _written(source: SourceSettings) -> dict[str, Any]:
    return {key: value for key, value in source if value is not None}


def merged_keys(name: str, settings: Settings) -> dict[str, Any]:
    """The preset's keys with the user's over them, and without the secrets."""
    source = settings.sources[name]
    known = preset(source.preset, f"[sources.{name}] preset") if source.preset else {}
    keys = {**known, **_written(source)}
    del keys["secrets"]
    return keys


def make_scheme(keys: Mapping[str, Any], where: str) -> Scheme:
    name = keys.get("scheme")
    if name is None:
        raise UserError("neither a preset nor a scheme", where, f'set preset ({LIST}) or scheme = "hmac"')
    if ":" in name:
        return _imported(name, keys, where)
    if name in _SCHEMES:
        module, _, attribute = _SCHEMES[name].partition(":")
        scheme: Scheme = getattr(import_module(module), attribute)(keys, where)
        return scheme
    known = f"write one of {', '.join(_SCHEMES)}, or module:Class"
    fix = f'write preset = "{name}"' if name in preset_names() else known
    raise UserError(f"there is no scheme {name!r}", f"{where} scheme", fix)


def _imported(name: str, keys: Mapping[str, Any], where: str) -> Scheme:
    module, _, attribute = name.partition(":")
    try:
        scheme = getattr(import_module(module), attribute)(keys, where)
    except UserError:
        raise
    except Exception as error:
        what = f"the scheme {name} cannot be made: {type(error).__name__}: {error}".splitlines()[0]
        raise UserError(what, f"{where} scheme", "the class is called with the source's keys and its name") from error
    if not isinstance(scheme, Scheme):
        fix = "derive it from receiver.schemes.reader.Reader and add key, verify and sign"
        raise UserError(f"{name} is not a scheme", f"{where} scheme", fix)
    return scheme


def _nearest(name: str, known: Collection[str], otherwise: str) -> str:
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else otherwise
