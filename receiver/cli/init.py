"""`postern init`: writes a small working project, and never overwrites. What is written stands in `templates.py`."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource
from pydantic import TypeAdapter, ValidationError

from receiver.cli import templates
from receiver.cli.common import Invocation, confirm, yes_option
from receiver.cli.templates import NewSource, new_source, word_of
from receiver.errors import UserError
from receiver.schemes.presets import near_presets, preset_names
from receiver.setting_types import SourceName

SECRET_FILE = ".env"
WIDTH = 80


class ListsPresets(click.Command):
    """Its help ends with all presets, in columns."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Presets"):
            for line in _columns(preset_names(), WIDTH - formatter.current_indent):
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


@click.command(cls=ListsPresets)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--source", "names", metavar="NAME", multiple=True, default=("stripe",), show_default="stripe",
              help="A preset, or any name for a private vendor; may be repeated.")  # fmt: skip
@yes_option
def init(folder: Path, names: Sequence[str], yes: bool) -> None:
    """Write a small working project into DIR, or here."""
    if (click.get_current_context().find_object(Invocation) or Invocation()).config:
        raise UserError("init writes postern.toml into DIR: it takes no --config", exit_code=2)
    _check_folder(folder)
    sources = _sources(names)
    for source in sources:  # before anything is written
        if near := _near(source):
            confirm(f"{source.name} is no preset (did you mean {near}?): is it a private vendor?", yes)
    contents = {path: text.encode() for path, text in templates.files(sources).items()}
    contents |= {source.fixture_file: source.example.fixture.body for source in sources}
    written = [path for path, content in contents.items() if _write(folder / path, content)]
    left = [path for path in contents if path not in written]
    if not written:
        fix = "To add a source, write its table into postern.toml"
        raise UserError("nothing was written: every file is there already", str(folder.absolute()), fix)
    _tell(folder, sources, written, left)


def _check_folder(folder: Path) -> None:
    """A preset in the folder's place would make a folder of that name, and Stripe's source in it."""
    chosen = click.get_current_context().get_parameter_source("names") is not ParameterSource.DEFAULT
    name = str(folder)
    if name in preset_names() and not chosen:
        fix = f"Type postern init --source {name}; for a folder of this name too: postern init {name} --source {name}"
        raise UserError(f"{name} is a preset, and what stands here is the folder", "DIR", fix, exit_code=2)


def _near(source: NewSource) -> str:
    """The presets that may be meant by a name that is none."""
    return "" if source.preset else " or ".join(near_presets(source.name))


def _columns(names: Sequence[str], width: int) -> list[str]:
    """Read from top to bottom, as many columns as fit."""
    cell = max(map(len, names)) + 2
    rows = -(-len(names) // (width // cell))
    return ["".join(name.ljust(cell) for name in names[row::rows]).rstrip() for row in range(rows)]


def _sources(names: Sequence[str]) -> list[NewSource]:
    names = list(dict.fromkeys(names))
    for name in names:
        try:
            TypeAdapter(SourceName).validate_python(name)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UserError(f"{name!r} cannot be a source: {rule}", "--source", exit_code=2) from None
    if len(set(map(word_of, names))) < len(names):
        raise UserError("two of the names differ only in . - and _", "--source", exit_code=2)
    return [new_source(name) for name in names]


def _write(path: Path, content: bytes) -> bool:
    """Whether it was written: what exists is left alone."""
    mode = 0o600 if path.name == SECRET_FILE else 0o666
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
    except FileExistsError:
        if path.is_file():
            return False
        raise UserError(f"{path} cannot be written: something else has this name") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", fix="Choose another folder") from None
    return True


def _tell(folder: Path, sources: Sequence[NewSource], written: Sequence[str], left: Sequence[str]) -> None:
    for path in written:
        click.echo(f"wrote {folder / path}")
    for path in left:
        click.echo(f"left as it was: {folder / path}")
    for source in sources:
        if source.preset is None:
            click.echo(_about_private(source.name))
    if "postern.toml" in left:
        click.echo("\nWhat is not in postern.toml yet, add to it:\n")
        click.echo("\n".join(source.table for source in sources))
    here = folder.absolute() == Path.cwd()
    click.echo(f"\nNext:{'' if here else f'  cd {folder}'}")
    click.echo("  postern serve")
    click.echo(f"  postern send {sources[0].fixture} --wait    (in another terminal)")
    click.echo("  pytest")


def _about_private(name: str) -> str:
    return f"{name} is no preset, so it is a private vendor: say in postern.toml how it signs"
