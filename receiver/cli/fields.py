"""One row, field by field, and the headers of a stored request: what `show` commands print."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from receiver.cli.common import one_line, shown_time


def header_pairs(lines: bytes) -> list[list[str]]:
    """The headers as they came, in their order."""
    parts = (line.partition(": ") for line in lines.decode("latin-1").split("\n") if line)
    return [[name, value] for name, _, value in parts]


def print_fields(row: Mapping[str, Any], headers: bytes) -> None:
    """What there is of the row, then the headers."""
    said = {name: value for name, value in row.items() if value is not None}
    width = max(map(len, said))
    for name, value in said.items():
        shown = shown_time(value) if isinstance(value, datetime) else one_line(str(value))
        click.echo(f"{name:<{width}}  {shown}")
    click.echo("headers")
    for name, value in header_pairs(headers):
        click.echo(f"  {one_line(name)}: {one_line(value)}")


def unwrapped(text: str | None) -> str:
    """On one line: what handlers raise often has several."""
    return " ".join((text or "").split())
