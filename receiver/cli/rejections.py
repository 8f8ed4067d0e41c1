"""`postern rejections`: the refused requests that are kept, each with its cause and both clocks.

Only the newest of each source are kept. The signature that was expected is nowhere: whoever reads this could forge.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import json_option, load_settings, print_json, print_table, reading
from receiver.cli.fields import header_pairs, print_fields
from receiver.cli.filters import limit_option, utf8
from receiver.errors import UserError

if TYPE_CHECKING:
    from receiver.store.reads import RejectionRow

COLUMNS = ("rejection", "received", "source", "code", "difference", "bytes", "cause")
NEXT = {
    "signature_mismatch": "Compare the fingerprints in postern sources with the vendor's secret; while it is rotated,"
    " list both in secrets",
    "signature_missing": "It was not sent by this vendor, or not to this source's address: see postern sources",
    "signature_malformed": "It was not signed as this source's preset or scheme says: see postern sources",
    "timestamp_stale": "Either the clock here is wrong (postern doctor), or it was sent again late by a stranger",
    "timestamp_future": "The clock here is behind (postern doctor), or the vendor's is ahead",
    "too_large": "If such a body is real, raise max_body_bytes of the source",
}


@click.group()
def rejections() -> None:
    """List and show refused requests."""


@rejections.command("list")
@click.option("--source", type=utf8, metavar="NAME", help="Of this source.")
@click.option("--code", type=utf8, metavar="CODE", help="With this cause, as signature_mismatch.")
@limit_option
@json_option
def list_(source: str | None, code: str | None, limit: int, as_json: bool) -> None:
    """Refused requests, newest first."""
    from receiver.store import reads

    with reading(load_settings()) as session:
        found = reads.rejections(session, source, limit, code)
    if as_json:
        for row in found:
            print_json(asdict(row))
    else:
        print_table(COLUMNS, map(_line, found))


def _line(row: "RejectionRow") -> tuple[Any, ...]:
    return (row.id, row.received_at, row.source, row.code, difference(row), row.size_bytes, row.detail)


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

    with reading(load_settings()) as session:
        found = reads.rejection(session, rejection)
    if found is None:
        what = f"there is no rejection {rejection!r}"
        raise UserError(what, fix="Only the newest are kept: type postern rejections list")
    row, headers, body = found
    if raw:
        click.echo(body, nl=False)
    elif as_json:
        print_json(asdict(row) | {"headers": header_pairs(headers)})
    else:
        print_fields(asdict(row) | {"difference_s": difference(row)}, headers)
        if row.code in NEXT:
            click.echo(f"next\n  {NEXT[row.code]}")
