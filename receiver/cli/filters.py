"""Which events: the options of `events list`, as `receiver.store.reads.Filters`; and times as people type them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
STATUSES = ("attention", "pending", "unhandled", "done")


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
    click.option("--source", metavar="NAME", help="Of this source."),
    click.option("--type", metavar="TYPE", help="Of this type; * is any characters."),
    click.option("--status", type=click.Choice(STATUSES), help="In this state."),
    click.option("--failing", is_flag=True, help="With a run that is parked, or has failed and will be tried again."),
    click.option("--handler", metavar="NAME", help="With a run of this handler."),
    click.option("--code", metavar="CODE", help="With a run of this code."),
    click.option(
        "--since", type=moment, metavar="TIME", help="Received from then on: 2h, 3d, 15m or 2030-01-31T08:00:00Z."
    ),
    click.option("--until", type=moment, metavar="TIME", help="Received before then."),
)


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
