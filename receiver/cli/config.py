"""`postern config check`: reads the configuration as `serve` would, and shows what counts, secrets as references."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from receiver.cli.common import complain, json_option, load_settings, print_json
from receiver.cli.secrets import missing_for_apis, refused_by_serve
from receiver.load import put_on_path
from receiver.schemes import AsksVendor, Scheme
from receiver.schemes.reader import Reader
from receiver.settings import Configuration, KeySettings, Settings, Table, shown_url
from receiver.sources import describe_source, key_places, unused_keys


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command()
@json_option
def check(as_json: bool) -> int:
    """Read all of it, and print what counts. Exits 1 where serve would not start; anything else is a warning."""
    settings = load_settings()  # prints its own warnings
    put_on_path(settings.root)
    found = [*without_effect(settings), *map(str, missing_for_apis(settings))]
    refused = list(refused_by_serve(settings))
    for text in (*found, *map(str, refused)):
        complain(text)
    if refused:
        return 1
    effective = {name: _plain(getattr(settings, name)) for name in Configuration.model_fields}
    if as_json:
        print_json({"path": settings.path, "warnings": [*settings.warnings, *found], "settings": effective})
    else:
        click.echo(f"# {settings.path or 'no postern.toml here: these are the defaults'}")
        click.echo("\n".join(_toml(effective)))
    return 0


def without_effect(settings: Settings) -> Iterator[str]:
    """Keys that change nothing, and sources that take nothing. Errors: UserError for a source that cannot be."""
    for name, source in settings.sources.items():
        for key in unused_keys(name, settings):
            yield f"[sources.{name}] {key} changes nothing: this source's scheme does not use it"
        scheme = describe_source(name, settings).scheme
        if isinstance(scheme, Reader) and scheme.lacks:
            yield f"[sources.{name}] has no {' and no '.join(scheme.lacks)}, so it accepts nothing"
        if isinstance(scheme, Reader) and scheme.lacks_for_handshakes:
            yield f"[sources.{name}] has no {' and no '.join(scheme.lacks_for_handshakes)}, so it refuses handshakes"
        if not asks_alone(scheme) and not any(key_places(source, scheme, name)):
            yield f"[sources.{name}] has no secret, so it accepts nothing"


def asks_alone(scheme: Scheme) -> bool:
    """Whether it can do without any key of ours."""
    return isinstance(scheme, AsksVendor) and scheme.asks_alone


# ── what counts, as TOML ──


def _plain(value: Any) -> Any:
    """As dicts, lists, texts, times and numbers, without any secret."""
    if isinstance(value, KeySettings) and value.not_after is None:
        return str(value.ref)
    if isinstance(value, Table | Mapping):
        pairs = value.items() if isinstance(value, Mapping) else value
        return {name: _plain(inner) for name, inner in pairs if inner is not None}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return shown_url(str(value)) if isinstance(value, str) else value


def _toml(effective: dict[str, Any]) -> Iterator[str]:
    for name, value in effective.items():
        if value is not None and not isinstance(value, dict):
            yield f"{name} = {_value(value)}"
    for name, table in effective.items():
        if name in ("sources", "apis"):
            for inner, keys in table.items():
                yield from _table(f"{name}.{_key(inner)}", keys)
        elif isinstance(table, dict):
            yield from _table(name, table)


def _table(name: str, keys: dict[str, Any]) -> Iterator[str]:
    yield f"[{name}]"
    yield from (f"{_key(key)} = {_value(value)}" for key, value in keys.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return json.dumps(value, ensure_ascii=False)
