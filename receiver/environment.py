"""The process's variables over those of `.env`, and how they override keys. The keys are settings.py's."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from receiver.errors import UserError
from receiver.toml_lines import KeyPath

_PREFIX = "POSTERN_"
_ADMIN_TOKEN = "POSTERN_ADMIN_TOKEN"
_NOT_KEYS = re.compile(r"POSTERN_(?:CONFIG|TEST_.*)")  # the file's own path, and what our test suite reads
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)")
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\", "$": "$"}


def over_dotenv(root: Path, process: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The process's variables, over those of `.env`; and a warning for each line that says nothing."""
    path = root / ".env"
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except FileNotFoundError:
        return dict(process), []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from None
    variables: dict[str, str] = {}
    odd = [number for number, line in enumerate(lines, 1) if not _assign(line.strip(), variables)]
    warnings = [f"{path}:{number}: skipped, it is not NAME=VALUE on one line" for number in odd]
    return {**variables, **process}, warnings


def _assign(line: str, variables: dict[str, str]) -> bool:
    if not line or line.startswith("#"):
        return True
    assignment = _ASSIGNMENT.fullmatch(line)
    value = _plain(assignment[2]) if assignment else None
    if assignment and value is not None:
        variables[assignment[1]] = value
    return value is not None


def _plain(text: str) -> str | None:
    if quoted := _QUOTED.fullmatch(text):
        single, double = quoted.groups()
        return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), double) if single is None else single
    if text.lstrip().startswith(("'", '"')):
        return None
    return re.sub(r"\s#.*", "", text).strip()


def override(
    model: type[BaseModel], table: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[KeyPath, str], list[str]]:
    """Puts into `table` what the variables say. Returns which one set each key, and warnings of others."""
    origins: dict[KeyPath, str] = {}
    unknown: list[str] = []
    for name in sorted(filter(_may_be_key, environ), key=str.upper):
        path = _path(model, table, name)
        if path is None:
            unknown.append(name)
        # An empty token is no token: it must not let in whoever sends none.
        elif name.upper() != _ADMIN_TOKEN or environ[name].strip():
            _put(table, path, _value(name, environ[name]))
            origins[path] = name
    guesses = [*_variables(model, table, "POSTERN")]
    # A variable that some reference names is not unknown.
    strange = [name for name in unknown if f"'env:{name}'" not in repr(table)]
    return origins, [_warning(name, guesses) for name in strange]


def children(kind: Any) -> tuple[dict[str, Any], Any]:
    """What a table of this type may hold: its keys' types, and the type under names of the user's own."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}, None
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {}, arguments[1]
    if origin is Annotated:
        return children(arguments[0])
    options = [children(option) for option in arguments] if origin in (Union, UnionType) else []
    own = (own for _, own in options if own is not None)
    return {name: inner for named, _ in options for name, inner in named.items()}, next(own, None)


def _may_be_key(name: str) -> bool:
    return name.upper().startswith(_PREFIX) and not _NOT_KEYS.fullmatch(name.upper())


def _path(kind: Any, table: Any, variable: str) -> tuple[str, ...] | None:
    path: tuple[str, ...] = ()
    for part in variable[len(_PREFIX) :].lower().split("__"):
        named, own = children(kind)
        if part not in named and (own is None or not part):
            return None
        inside = _inside(table)
        key = part if part in named else _spelled(part, inside, variable)
        kind, table, path = named.get(part, own), inside.get(key), (*path, key)
    return path


def _inside(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _spelled(part: str, table: Mapping[str, Any], variable: str) -> str:
    """The name as the file spells it: a variable's own name holds neither dashes nor dots."""
    alike = [key for key in table if _folded(key) == part]
    if len(alike) > 1 and part not in alike:
        what = f"{variable} fits more than one name: {', '.join(alike)}"
        raise UserError(what, fix="Set the key in the file instead")
    return alike[0] if alike and part not in alike else part


def _folded(name: str) -> str:
    return re.sub(r"[.-]", "_", name.lower())


def _value(name: str, text: str) -> Any:
    if name.upper() == _ADMIN_TOKEN:
        return f"literal:{text}"
    if not text.startswith(("[", "{", '"')):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        fix = 'What begins with [, { or " is read as TOML; such a text is written "…"'
        raise UserError(f"{name}: must be a TOML value", fix=fix) from None


def _put(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for key in above:
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            return  # the file has something else where a table belongs, and is told so
        table = below
    table[last] = value


def _variables(kind: Any, table: Any, prefix: str) -> Iterator[str]:
    named, own = children(kind)
    inside = _inside(table)
    for key, inner in (named or dict.fromkeys(inside, own)).items():
        name = f"{prefix}{'__' if '_' in prefix else '_'}{_folded(key).upper()}"
        yield name
        yield from _variables(inner, inside.get(key), name)


def _warning(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, 1, 0.8)
    return f"{name}: unknown variable, ignored" + (f"; did you mean {near[0]}?" if near else "")
