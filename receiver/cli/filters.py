"""Which events: the options of `events list`, as `receiver.store.reads.Filters`; and times as people type them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
STATUSES = ("attention", "pending", "unhandled", "done")


def utf8(text: str) -> str:
    """Text that a database takes: an argument may hold any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this is not UTF-8") from None
    return text


def moment(text: str) -> datetime:
    """A time: RFC 3339 with its offset, or how long ago."""
    try:
        return _ago(text) or _rfc3339(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time: write 2h, 3d, 15m or 2030-01-31T08:00:00Z") from None


def _ago(text: str) -> datetime | None:
    typed = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    return typed and datetime.now(UTC) - timedelta(**{UNITS[typed[2]]: int(typed[1])})


def _rfc3339(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError
    return at.astimezone(UTC)


OPTIONS = (
    click.option("--source", type=utf8, metavar="NAME", help="Of this source."),
    click.option("--type", type=utf8, metavar="TYPE", help="Of this type; * is any characters."),
    click.option("--status", type=click.Choice(STATUSES), help="In this state."),
    click.option("--failing", is_flag=True, help="With a run that is parked, or has failed and will be tried again."),
    click.option("--handler", type=utf8, metavar="NAME", help="With a run of this handler."),
    click.option("--code", type=utf8, metavar="CODE", help="With a run of this code."),
    click.option(
        "--since", type=moment, metavar="TIME", help="Received from then on: 2h, 3d, 15m or 2030-01-31T08:00:00Z."
    ),
    click.option("--until", type=moment, metavar="TIME", help="Received before then."),
)


def limit_option(function: F) -> F:
    """`--limit`; bounded, because a database's numbers are."""
    limits = click.IntRange(1, 1_000_000)
    return click.option("--limit", type=limits, default=50, show_default=True, help="At most so many.")(function)


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filters, as the argument `filters`. With --failing, --handler and --code the same run must fit them all."""

    @wraps(function)
    def filtered(*, source: Any, type: Any, status: Any, failing: Any, handler: Any, code: Any, since: Any, until: Any,
                 **others: Any) -> Any:  # fmt: skip
        from receiver.store.reads import Filters  # costs most of a second: not for --help

        filters = Filters(source, type, status, failing, handler, code, since, until)
        return function(filters=filters, **others)

    for option in reversed(OPTIONS):
        filtered = option(filtered)
    return filtered
