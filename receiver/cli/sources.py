"""`postern sources`: what vendors have to be told, and with which keys their deliveries are verified."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from receiver.cli.common import json_option, load_settings, print_json, reading, shown_time
from receiver.cli.secrets import source_keys
from receiver.errors import UserError
from receiver.load import put_on_path
from receiver.schemes import Key
from receiver.settings import Settings
from receiver.sources import describe_source

if TYPE_CHECKING:
    from receiver.store.models import Process
    from receiver.store.models import Source as Counters

ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True)
class Shown:
    name: str
    preset: str | None
    scheme: str
    address: str
    keys: list[str]
    """Reference and fingerprint, or what is wrong with it; never a secret."""
    covers: str | None
    last_accepted_at: datetime | None
    docs: str | None


@click.command()
@json_option
def sources(as_json: bool) -> None:
    """The configured sources: address, keys, what their signatures cover."""
    settings = load_settings()
    put_on_path(settings.root)
    if not settings.sources:
        raise UserError("no source is configured", fix="Add [sources.NAME] to postern.toml, or type postern init")
    alive, counters = _stored(settings)
    base = base_url(settings, alive)
    for name in settings.sources:
        shown = _shown(name, settings, base, counters)
        print_json(asdict(shown)) if as_json else _print(shown)


def _stored(settings: Settings) -> "tuple[Sequence[Process], Mapping[str, Counters]]":
    """What the store knows, which need not exist yet."""
    from receiver.store import reads

    with suppress(UserError), reading(settings) as session:
        return reads.processes(session), reads.sources(session)
    return [], {}


def base_url(settings: Settings, alive: "Sequence[Process]") -> str:
    """What vendors call; where it is not configured, the newest live receiver, else where one would listen."""
    live = [process.url for process in alive if process.url]
    if settings.public_url or live:
        return (settings.public_url or live[-1]).rstrip("/")
    host = ANY_HOST.get(settings.server.host, settings.server.host)
    return f"http://[{host}]:{settings.server.port}" if ":" in host else f"http://{host}:{settings.server.port}"


def _shown(name: str, settings: Settings, base: str, counters: "Mapping[str, Counters]") -> Shown:
    source = describe_source(name, settings)
    scheme = type(source.scheme).__name__.lower()
    return Shown(
        name=name,
        preset=source.preset,
        scheme=scheme,
        address=source.public_url or f"{base}/webhooks/{name}",
        keys=list(_keys(name, settings)),
        covers=source.covers or (settings.sources[name].content or "{body}" if scheme == "hmac" else None),
        last_accepted_at=counters[name].last_accepted_at if name in counters else None,
        docs=source.docs,
    )


def _keys(name: str, settings: Settings) -> Iterator[str]:
    for reference, found in source_keys(name, settings):
        yield found.shown if isinstance(found, Key) else f"{reference} ({found.what})"


def _print(shown: Shown) -> None:
    click.echo(f"{shown.name}  ({shown.preset or shown.scheme})")
    click.echo(f"  address        {shown.address}")
    for number, key in enumerate(shown.keys):
        click.echo(f"  {'' if number else 'keys':<13}  {key}")
    if not shown.keys:
        click.echo("  keys           none: it accepts nothing")
    click.echo(f"  covers         {shown.covers or 'what its scheme says'}")
    click.echo(f"  last accepted  {shown_time(shown.last_accepted_at) if shown.last_accepted_at else 'never'}")
    if shown.docs:
        click.echo(f"  docs           {shown.docs}")
