"""`postern init`: writes a small working project, and never overwrites. What is written stands in `templates.py`."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from receiver.cli import templates
from receiver.cli.common import Invocation
from receiver.cli.templates import NewSource
from receiver.errors import UserError
from receiver.schemes.presets import preset_names
from receiver.setting_types import SourceName

SECRET_FILE = ".env"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--source", "names", metavar="NAME", multiple=True, default=("stripe",), show_default="stripe",
              help="A preset, or any name for a private vendor; may be repeated.")  # fmt: skip
def init(folder: Path, names: Sequence[str]) -> None:
    """Write a small working project into DIR, or here."""
    if (click.get_current_context().find_object(Invocation) or Invocation()).config:
        raise UserError("init writes postern.toml into DIR: it takes no --config", exit_code=2)
    sources = _sources(names)
    contents = {path: text.encode() for path, text in templates.files(sources).items()}
    contents |= {f"fixtures/{source.fixture}.json": _shipped(source) for source in sources}
    written = [path for path, content in contents.items() if _write(folder / path, content)]
    left = [path for path in contents if path not in written]
    if not written:
        fix = "To add a source, write its table into postern.toml"
        raise UserError("nothing was written: every file is there already", str(folder.absolute()), fix)
    _tell(folder, sources, written, left)


def _sources(names: Sequence[str]) -> list[NewSource]:
    sources = [NewSource(name) for name in dict.fromkeys(names)]
    for source in sources:
        try:
            TypeAdapter(SourceName).validate_python(source.name)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UserError(f"{source.name!r} cannot be a source: {rule}", "--source", exit_code=2) from None
    if len({source.word for source in sources}) < len(sources):
        raise UserError("two of the names differ only in . - and _", "--source", exit_code=2)
    return sources


def _shipped(source: NewSource) -> bytes:
    return (files("receiver.fixtures") / (source.preset or "hmac") / f"{source.example.type}.json").read_bytes()


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
    near = get_close_matches(name, preset_names(), 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{name} is no preset, so it is a private vendor: say in postern.toml how it signs.{meant}"
