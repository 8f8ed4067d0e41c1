"""`postern sources`: what vendors have to be told, and with which keys their deliveries are verified."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from receiver.cli.common import json_option, load_settings, print_json, reading, shown_time
from receiver.cli.config import asks_alone
from receiver.cli.key_usage import KeyUsage, key_usage
from receiver.cli.secrets import source_keys
from receiver.errors import UserError
from receiver.load import put_on_path
from receiver.schemes import Key, Scheme
from receiver.schemes.reader import Reader
from receiver.schemes.signed_content import SignedContent
from receiver.schemes.token import Token
from receiver.settings import Settings
from receiver.sources import describe_source, merged_keys

if TYPE_CHECKING:
    from receiver.store.models import Process, Usage
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
    usage: list[KeyUsage]
    """What each of them has verified, also those that could not be read."""
    lacks: tuple[str, ...]
    """Besides keys, what it accepts nothing without."""
    asks_vendor: bool
    """Its vendor serves keys, and is asked for them where it has none of its own."""
    covers: str | None
    retries: str | None
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
    alive, counters, stored = _stored(settings)
    base, usage = base_url(settings, alive), list(key_usage(settings, stored))
    for name in settings.sources:
        shown = _shown(name, settings, base, counters, [used for used in usage if used.source == name])
        print_json(asdict(shown)) if as_json else _print(shown)


def _stored(
    settings: Settings,
) -> "tuple[Sequence[Process], Mapping[str, Counters], Mapping[str, Mapping[str, Usage]]]":
    """What the store knows, which need not exist yet."""
    from receiver.store import reads

    with suppress(UserError), reading(settings) as session:
        return reads.processes(session), reads.sources(session), reads.usage(session)
    return [], {}, {}


def base_url(settings: Settings, alive: "Sequence[Process]") -> str:
    """What vendors call; where it is not configured, the newest live receiver, else where one would listen."""
    live = [process.url for process in alive if process.url]
    if settings.public_url or live:
        return (settings.public_url or live[-1]).rstrip("/")
    host = ANY_HOST.get(settings.server.host, settings.server.host)
    return f"http://[{host}]:{settings.server.port}" if ":" in host else f"http://{host}:{settings.server.port}"


def _shown(
    name: str, settings: Settings, base: str, counters: "Mapping[str, Counters]", usage: list[KeyUsage]
) -> Shown:
    source = describe_source(name, settings)
    return Shown(
        name=name,
        preset=source.preset,
        scheme=merged_keys(name, settings)["scheme"],
        address=source.public_url or f"{base}/webhooks/{name}",
        keys=list(_keys(name, settings)),
        usage=usage,
        lacks=source.scheme.lacks if isinstance(source.scheme, Reader) else (),
        asks_vendor=asks_alone(source.scheme),
        covers=source.covers or _covers(source.scheme, settings.sources[name].content),
        retries=source.retries,
        last_accepted_at=counters[name].last_accepted_at if name in counters else None,
        docs=source.docs,
    )


def _covers(scheme: Scheme, content: str | None) -> str | None:
    """Where no preset says it in words."""
    if isinstance(scheme, SignedContent):
        return content or "{body}"
    return "nothing: the token comes with each request" if isinstance(scheme, Token) else None


def _keys(name: str, settings: Settings) -> Iterator[str]:
    for reference, found in source_keys(name, settings):
        yield found.shown if isinstance(found, Key) else f"{reference} ({found.what})"


def _print(shown: Shown) -> None:
    click.echo(f"{shown.name}  ({', '.join(dict.fromkeys(filter(None, (shown.preset, shown.scheme))))})")
    click.echo(f"  address        {shown.address}")
    nothing = "none of ours: the vendor's are asked for" if shown.asks_vendor else "none: it accepts nothing"
    for number, key in enumerate(shown.keys or [nothing]):
        click.echo(f"  {'' if number else 'keys':<13}  {key}")
    if shown.lacks:
        click.echo(f"  lacks          {' and '.join(shown.lacks)}: it accepts nothing")
    for number, used in enumerate(used for used in shown.usage if used.verified or used.not_after):
        click.echo(f"  {'' if number else 'verified':<13}  {_told(used)}")
    click.echo(f"  covers         {shown.covers or 'what its scheme says'}")
    click.echo(f"  last accepted  {shown_time(shown.last_accepted_at) if shown.last_accepted_at else 'never'}")
    if shown.retries:
        click.echo(f"  retries        {shown.retries}")
    if shown.docs:
        click.echo(f"  docs           {shown.docs}")


def _told(used: KeyUsage) -> str:
    """What one key has verified, and its end."""
    last = f", the last at {shown_time(used.last_verified_at)}" if used.last_verified_at else ""
    end = f"; ends at {shown_time(used.not_after)}" if used.not_after else ""
    return f"{used.verified} by {used.key}{last}{end}"
