"""`postern rejections`: the refused requests that are kept, each with its cause and both clocks.

Only the newest of each source are kept. The signature that was expected is nowhere: whoever reads this could forge.
How they become events after all stands in `reverify.py`.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import json_option, load_settings, one_line, print_json, print_table, reading
from receiver.cli.fields import header_pairs, print_fields
from receiver.cli.filters import limit_option, utf8
from receiver.cli.reverify import reverify
from receiver.errors import UserError
from receiver.load import put_on_path
from receiver.sources import Source, describe_source

if TYPE_CHECKING:
    from receiver.settings import Settings
    from receiver.store.reads import Kept, RejectionRow

COLUMNS = ("rejection", "received", "source", "code", "difference", "bytes", "promotable", "cause")
NOT_SIGNED_SO = "It was not signed as this source's preset or scheme says: see postern sources"
NEXT = {
    "signature_mismatch": "Compare the fingerprints in postern sources with the vendor's secret; while it is rotated,"
    " list both in secrets",
    "signature_missing": "It was not sent by this vendor, or not to this source's address: see postern sources",
    **dict.fromkeys(("signature_malformed", "id_missing", "timestamp_missing", "timestamp_malformed"), NOT_SIGNED_SO),
    "timestamp_stale": "Either the clock here is wrong (postern doctor), or it was sent again late by a stranger",
    "timestamp_future": "The clock here is behind (postern doctor), or the vendor's is ahead",
    "secret_offered": "If you have just set up this webhook at the vendor, put the secret that stands in this request"
    " into the source's secrets. If not, a stranger sent it: leave it alone",
    "handshake_refused": "Compare the source's verify_token with what you told the vendor",
    "handshake_malformed": "It was not sent by this vendor, or the vendor has changed its handshake",
    "nonce_reused": "Its nonce came before, with another body: a stranger sent it. Leave it alone",
    "too_large": "If such a body is real, raise max_body_bytes of the source",
}
OTHERWISE = "No key changes this: put it right where it is sent, or on its way here (a proxy)"
"""For whatever is wrong with the request itself."""
REVERIFY = "Then type postern rejections reverify --source {source}"


@click.group()
def rejections() -> None:
    """List and show refused requests, and promote those that were refused by mistake."""


rejections.add_command(reverify)


@rejections.command("list")
@click.option("--source", type=utf8, metavar="NAME", help="Of this source.")
@click.option("--code", type=utf8, metavar="CODE", help="With this cause, as signature_mismatch.")
@limit_option
@json_option
def list_(source: str | None, code: str | None, limit: int, as_json: bool) -> None:
    """Refused requests, newest first."""
    from receiver.store import reads

    settings = load_settings(forgiving=True)
    hindrances = Hindrances(settings)
    with reading(settings) as session:
        found = [(kept.row, hindrances.of(kept)) for kept in reads.kept(session, source, limit, code)]
    if as_json:
        for row, why_not in found:
            print_json(_object(row, why_not))
    else:
        print_table(COLUMNS, (_line(row, why_not) for row, why_not in found))
        _print_notes(found)


def _object(row: "RejectionRow", why_not: str | None) -> dict[str, Any]:
    return {**asdict(row), "promotable": why_not is None, "why_not": why_not}


def _line(row: "RejectionRow", why_not: str | None) -> tuple[Any, ...]:
    promotable = "no" if why_not else "yes"
    return (row.id, row.received_at, row.source, row.code, difference(row), row.size_bytes, promotable, row.detail)


def _print_notes(found: "list[tuple[RejectionRow, str | None]]") -> None:
    """Why not, where the cause alone does not say it; the same reason once."""
    from receiver.reverify import REPAIRABLE

    ids: dict[str, list[str]] = {}
    for row, why_not in found:
        if why_not and row.code in REPAIRABLE:
            ids.setdefault(why_not, []).append(row.id)
    if ids:
        click.echo("\nnot promotable")
    for why_not, named in ids.items():
        click.echo(f"  {', '.join(named)}\n    {one_line(why_not)}")


class Hindrances:
    """Why rejections cannot be promoted, by their sources as they are configured now; nobody's secret is needed."""

    def __init__(self, settings: "Settings") -> None:
        put_on_path(settings.root)
        self._settings = settings
        self._sources: dict[str, Source | UserError | None] = {}

    def of(self, kept: "Kept") -> str | None:
        from receiver.reverify import hindrance

        source = self.source(kept.row.source)
        return source.what if isinstance(source, UserError) else hindrance(kept, source)

    def source(self, name: str) -> Source | UserError | None:
        """As it is configured, or what is wrong with it; None where it is not."""
        if name not in self._sources:
            self._sources[name] = self._described(name)
        return self._sources[name]

    def _described(self, name: str) -> Source | UserError | None:
        if name not in self._settings.sources and self._settings.left_out:
            return UserError(f"the configuration is not valid, and [sources.{name}] not known")
        try:
            return describe_source(name, self._settings) if name in self._settings.sources else None
        except UserError as error:
            return error


def difference(row: "RejectionRow") -> str | None:
    """Between our clock and the time that the request claims."""
    if row.difference_s is None:
        return None
    return f"{abs(row.difference_s):.1f} s {'behind' if row.difference_s >= 0 else 'ahead'}"


@rejections.command()
@click.argument("rejection", metavar="ID")
@click.option("--raw", is_flag=True, help="What is kept of the body, and nothing else.")
@json_option
def show(rejection: str, raw: bool, as_json: bool) -> None:
    """One refused request: cause, clocks, headers."""
    if raw and as_json:
        raise UserError("--raw prints bytes, and --json an object", fix="Type one of them", exit_code=2)
    from receiver.store import reads

    settings = load_settings(forgiving=True)
    with reading(settings) as session:
        found = reads.rejection(session, rejection)
    if found is None:
        what = f"there is no rejection {rejection!r}"
        raise UserError(what, fix="Only the newest are kept: type postern rejections list")
    if raw:
        click.echo(found.body, nl=False)
        return
    row, hindrances = found.row, Hindrances(settings)
    said = _object(row, hindrances.of(found))
    if as_json:
        print_json(said | {"headers": header_pairs(found.headers)})
    else:
        shown = {"difference_s": difference(row), "promotable": "yes" if said["promotable"] else "no"}
        print_fields(said | shown, found.headers)
        click.echo(f"next\n  {_next(row, hindrances.source(row.source), promotable=said['promotable'])}")


def _next(row: "RejectionRow", source: Source | UserError | None, *, promotable: bool) -> str:
    """What can be done. That a mended key lets it pass is said only where it can."""
    from receiver.reverify import REPAIRABLE, redelivery

    text, then = NEXT.get(row.code, OTHERWISE), REVERIFY.format(source=row.source)
    if row.code in REPAIRABLE and source is None:
        return f"If its vendor is still wanted, add [sources.{row.source}] to postern.toml again. {then}"
    if row.code in REPAIRABLE and isinstance(source, UserError):
        return f"Put [sources.{row.source}] right: type postern config check. {then}"
    if row.code == "too_large" and isinstance(source, Source):
        return f"{text}; {redelivery(source)}"
    if row.code == "signature_mismatch":
        return f"{text}. {then if promotable else 'That is for those to come: this one cannot be promoted'}"
    return text
