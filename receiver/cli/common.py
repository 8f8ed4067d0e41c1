"""What commands share: the settings, the store to read, rows as JSON lines or as a table, times, questions."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from receiver.errors import UserError
from receiver.settings import Settings, load

if TYPE_CHECKING:
    from receiver.store import Session, Store

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """One `postern …`: what its options before or after the command's name said for every command."""

    config: Path | None = None


def config_option() -> click.Option:
    def remember(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.find_object(Invocation).config = value  # type: ignore[union-attr]

    return click.Option(
        ["--config"], type=click.Path(path_type=Path), expose_value=False, callback=remember,
        metavar="PATH", help="The configuration, instead of ./postern.toml.",
    )  # fmt: skip


def json_option(function: F) -> F:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")(function)


def yes_option(function: F) -> F:
    """`--yes`, as the argument `yes`, for `confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


# ── what to work on ──


def configuration_file() -> Path | None:
    """That of `--config`."""
    invocation = click.get_current_context().find_object(Invocation)
    return invocation.config if invocation else None


def load_settings(environ: Mapping[str, str] | None = None, *, forgiving: bool = False) -> Settings:
    """The settings of `--config`; their warnings go to standard error.

    Who only reads the store is `forgiving`: what is wrong elsewhere is one of the warnings.
    """
    settings = load(configuration_file(), environ, forgiving=forgiving)
    for warning in settings.warnings:
        complain(warning)
    return settings


def configured_url(settings: Settings) -> str:
    """Where a receiver of this configuration is reached from here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104
    return f"http://[{host}]:{settings.server.port}" if ":" in host else f"http://{host}:{settings.server.port}"


@contextmanager
def opened(settings: Settings) -> Iterator["Store"]:
    """The store, which must exist: no command but `serve` and `db upgrade` makes one."""
    from receiver.store import Unavailable, open_store  # costs most of a second: only who needs the store waits for it
    from receiver.store.database import database_at

    store = open_store(settings.store.url)
    try:
        yield store
    except Unavailable as error:
        raise database_at(settings.store.url).cannot_write(str(error).partition("\n")[0]) from error
    finally:
        store.close()


@contextmanager
def reading(settings: Settings) -> Iterator["Session"]:
    """A session for `receiver.store.reads`."""
    with opened(settings) as store, store.reading() as session:
        yield session


# ── what is printed ──


def complain(text: str) -> None:
    """At most three lines to standard error: what is wrong, where, what to type."""
    click.echo(f"postern: {text}", err=True)


def shown_time(moment: datetime | None) -> str:
    """RFC 3339 in UTC with Z, to the second; "-" for none."""
    return "-" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_json(row: Mapping[str, Any]) -> None:
    """One object on one line; times are RFC 3339 in UTC with Z, in full precision."""
    click.echo(json.dumps(row, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Aligned columns under their names. None is "-", times are short, and nothing in a cell can break its line."""
    cells = [[str(name) for name in columns], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return shown_time(value)
    return "-" if value is None else one_line(str(value))


def one_line(text: str) -> str:
    """Text of a stranger, fit for a terminal: without line ends and control characters."""
    return "".join(character if character.isprintable() else "�" for character in text)


# ── what is asked ──


def confirm(question: str, yes: bool) -> None:
    """Ask before what cannot be undone. Without a terminal somebody must have said `--yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} Nobody is here to answer.", fix="Add --yes to do it", exit_code=2)
    if not click.confirm(question, err=True):
        raise UserError("nothing was done")


# ── what is not there yet ──


def not_built(name: str, instead: str = "") -> click.Command:
    """A command of the contract that this version does not have: it takes anything and exits 2."""

    def refuse() -> None:
        path = click.get_current_context().command_path
        raise UserError(f"{path} is not built yet", fix=instead, exit_code=2)

    return click.Command(
        name, callback=refuse, params=[click.Argument(["ignored"], nargs=-1, expose_value=False)],
        context_settings={"ignore_unknown_options": True}, short_help="Not built yet.",
    )  # fmt: skip
