"""Fixtures: one event's exact body each, found by `source/type`, or by the path of a file of the user's own.

Found here, sent by `receiver.cli.send`, decoded by `processors.testing`. Nothing here knows of signatures.
What no file of every system may be called stands in a file's name as in a URL: `repo:push` is `repo%3Apush.json`.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from receiver.errors import UserError
from receiver.schemes.presets import preset_names
from receiver.settings import SourceSettings

_IDS: Final = uuid.UUID("5f1d3cb8-2f6c-5c0e-9d3e-2d0a5f3f7b11")  # never changes: a fixture's id must not
_ENDING: Final = ".json"
_NOT_IN_NAMES: Final = re.compile(r'[%:*?"<>|\\]')


@dataclass(frozen=True, slots=True)
class Fixture:
    """`folder` is the source's or the preset's name that it was found under, "" for a file in neither's folder."""

    name: str
    folder: str
    type: str
    variant: str
    body: bytes

    def header_id(self, preset: str | None) -> str:
        """The event's id for vendors who put it into a header: always the same for this fixture."""
        content = f"{self.folder}/{self.type}__{self.variant}/{hashlib.sha256(self.body).hexdigest()}"
        return in_form(preset, uuid.uuid5(_IDS, content))


def in_form(preset: str | None, id: uuid.UUID) -> str:
    """As the vendor writes ids in headers: https://www.standardwebhooks.com like msg_…, others as UUIDs."""
    return f"msg_{id.hex}" if preset == "standardwebhooks" else str(id)


def file_of(name: str) -> str:
    """The file, under its folder, of what is called `source/type[__variant]`."""
    return _NOT_IN_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", name) + _ENDING


def kind_of(source: SourceSettings) -> str:
    """The folder of the fixtures that fit a source: its preset's, or the name of its scheme."""
    return source.preset or source.scheme or ""


def find_fixture(name: str, root: Path, sources: Mapping[str, SourceSettings]) -> Fixture:
    """`name` is a path, or `source/type[__variant]` from `root/fixtures` or from those shipped.

    A source may be called otherwise than its preset: fixtures of both names are found.
    """
    path = Path(name)
    if path.is_file():
        return _of_path(name, path.absolute(), sources)
    folder, _, rest = name.removesuffix(_ENDING).partition("/")
    for place in _places(root):
        for known_as in _names(folder, sources):
            for file in (f"{rest}{_ENDING}", file_of(rest)):
                path = place / known_as / file
                if rest and path.is_file():
                    return _fixture(name.removesuffix(_ENDING), known_as, path, place / known_as)
    raise _unknown(name, root, sources)


def fixture_names(root: Path, sources: Mapping[str, SourceSettings]) -> list[str]:
    """Every `source/type[__variant]` that `find_fixture` finds for these sources, and for presets."""
    names = set()
    for place in _places(root):
        for path in place.rglob(f"*{_ENDING}"):
            folder, _, rest = _name_of(path, place).partition("/")
            names |= {f"{source}/{rest}" for source in [folder, *_called(folder, sources)] if rest}
    return sorted(names)


def shipped(folder: str) -> list[Fixture]:
    """Those that come with Postern for a preset or for a scheme."""
    place = _shipped() / folder
    paths = sorted(place.rglob(f"*{_ENDING}"))
    return [_fixture(f"{folder}/{_name_of(path, place)}", folder, path, place) for path in paths]


def _shipped() -> Path:
    return Path(str(files("receiver.fixtures")))


def _places(root: Path) -> Iterator[Path]:
    yield root / "fixtures"
    yield _shipped()


def _names(folder: str, sources: Mapping[str, SourceSettings]) -> list[str]:
    kind = kind_of(sources[folder]) if folder in sources else ""
    return [folder, kind] if kind else [folder]


def _called(kind: str, sources: Mapping[str, SourceSettings]) -> list[str]:
    return [name for name, source in sources.items() if kind_of(source) == kind]


def _of_path(name: str, path: Path, sources: Mapping[str, SourceSettings]) -> Fixture:
    """The folder is the nearest one above the file that is called like a source or a preset."""
    known = {*sources, *preset_names(), *map(kind_of, sources.values())}
    for parent in path.parents:
        if parent.name in known:
            return _fixture(name, parent.name, path, parent)
    return _fixture(name, "", path, path.parent)


def _name_of(path: Path, place: Path) -> str:
    """What a file is called where it lies under `place`."""
    return unquote(path.relative_to(place).as_posix().removesuffix(_ENDING))


def _fixture(name: str, folder: str, path: Path, place: Path) -> Fixture:
    type_, _, variant = _name_of(path, place).partition("__")
    try:
        return Fixture(name, folder, type_, variant, path.read_bytes())
    except OSError as error:
        raise UserError(f"the fixture {name} cannot be read: {error.strerror}", str(path)) from None


def _unknown(name: str, root: Path, sources: Mapping[str, SourceSettings]) -> UserError:
    what = f"there is no fixture {name!r}, neither in {root / 'fixtures'} nor among those shipped"
    known = fixture_names(root, sources)
    near = get_close_matches(name, known, 1, 0.7)
    folder = name.partition("/")[0]
    fix = f"Did you mean {near[0]}?" if near else f"There are {_some(known, folder, sources)}"
    return UserError(what, fix=fix)


def _some(known: Iterable[str], folder: str, sources: Mapping[str, SourceSettings]) -> str:
    """Those of the folder; else the folders that the configured sources have fixtures in, or all where none has."""
    of_source = [name for name in known if name.startswith(f"{folder}/")]
    if of_source:
        return ", ".join(of_source[:8])
    folders = {name.partition("/")[0] for name in known}
    usable = folders & {*sources, *map(kind_of, sources.values())}
    return ", ".join(f"{name}/…" for name in sorted(usable or folders))
