"""A source is one configured sender: its preset's keys under the user's, the scheme they make, its secrets.

What a scheme does stands in `receiver.schemes`, what vendors do in `receiver.schemes.presets`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from receiver.errors import UserError
from receiver.schemes import Key, Scheme
from receiver.schemes.hmac import Hmac
from receiver.schemes.presets import preset, preset_names
from receiver.settings import Settings, SourceSettings

_MAX_BODY_BYTES: Final = 1024 * 1024
_DEDUPE_WINDOW_S: Final = 72 * 3600.0
_OWN_KEYS: Final = frozenset({"preset", "scheme", "secrets", "max_body_bytes", "dedupe_window_s", "docs", "covers"})
_NOT_BUILT: Final = ("token", "ed25519", "ecdsa", "jwt")


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    preset: str | None
    scheme: Scheme
    keys: tuple[Key, ...]
    """Newest first, any of them verifies; without one nothing does."""
    max_body_bytes: int
    dedupe_window_s: float
    public_url: str | None
    """The source's own, without a query; None where the installation's address and the path are meant."""
    docs: str | None
    covers: str | None
    """What the signature protects, in words."""


def build_sources(settings: Settings) -> dict[str, Source]:
    return {name: build_source(name, settings) for name in settings.sources}


def build_source(name: str, settings: Settings) -> Source:
    """The source ready to verify and sign; an error where one of its secrets is missing."""
    source = describe_source(name, settings)
    keys = []
    for number, reference in enumerate(settings.sources[name].secrets):
        where = f"[sources.{name}] secrets[{number}]"
        keys.append(source.scheme.key(str(reference), settings.resolve(reference, where), where))
    return replace(source, keys=tuple(keys))


def describe_source(name: str, settings: Settings) -> Source:
    """The source without its keys, for those who only read what it sent: they need not have its secrets."""
    if name not in settings.sources:
        fix = _nearest(name, settings.sources, f"add [sources.{name}]")
        raise UserError(f"there is no source {name!r}", str(settings.path or "postern.toml"), fix)
    where = f"[sources.{name}]"
    written = settings.sources[name]
    keys = _merged(written, where)
    return Source(
        name=name,
        preset=written.preset,
        scheme=_scheme(keys, where),
        keys=(),
        max_body_bytes=keys.get("max_body_bytes", _MAX_BODY_BYTES),
        dedupe_window_s=keys.get("dedupe_window_s", _DEDUPE_WINDOW_S),
        public_url=keys.get("public_url"),
        docs=keys.get("docs"),
        covers=keys.get("covers"),
    )


def unused_keys(name: str, settings: Settings) -> list[str]:
    """The keys that somebody wrote for this source and that change nothing."""
    used = _OWN_KEYS | describe_source(name, settings).scheme.used
    return [key for key in _written(settings.sources[name]) if key not in used]


def _written(source: SourceSettings) -> dict[str, Any]:
    return {key: value for key, value in source if value is not None}


def _merged(source: SourceSettings, where: str) -> dict[str, Any]:
    known = preset(source.preset, f"{where} preset") if source.preset else {}
    keys = {**known, **_written(source)}
    del keys["secrets"]
    return keys


def _scheme(keys: Mapping[str, Any], where: str) -> Scheme:
    name = keys.get("scheme")
    if name is None:
        known = ", ".join(preset_names())
        raise UserError("neither a preset nor a scheme", where, f'set preset (one of {known}) or scheme = "hmac"')
    if name == "hmac":
        return Hmac(keys, where)
    if ":" in name:
        return _imported(name, keys, where)
    if name in _NOT_BUILT:
        raise UserError(f"the scheme {name!r} is not built yet", f"{where} scheme", 'there is "hmac", or module:Class')
    fix = f'write preset = "{name}"' if name in preset_names() else 'write "hmac", or module:Class'
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
