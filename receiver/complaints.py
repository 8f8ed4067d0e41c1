"""Says what is wrong in the configuration: a finding of pydantic becomes one UserError with file and line.

No value is ever repeated: it may be a secret in the wrong place.
"""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from receiver.environment import children
from receiver.errors import UserError
from receiver.references import RULE
from receiver.toml_lines import KeyPath, line_of

_NOT_A_LIST = "must be a list"
# Pydantic's kinds of errors in words for somebody who writes TOML; the first prefix that fits.
_WORDS = {
    "missing": "must be given",
    "int_": "must be a whole number",
    "float_": "must be a number",
    "finite_": "must be a number",
    "string_too_short": "must not be empty",
    "string_": "must be text",
    "tuple_": _NOT_A_LIST,
    "mapping_": "must be a table",
    "dict_": "must be a table",
    "model_": "must be a table",
    "union_tag_": 'must have type = "bearer", "basic" or "api_key"',
}
_TABLE_DEPTHS = {"public_url": 0, "admin_token": 0, "sources": 2, "apis": 2}


@dataclass(frozen=True, slots=True)
class Written:
    """The configuration as it was written: the file, its values, and which variable set which key."""

    file: str
    text: str
    table: dict[str, Any]
    variables: dict[KeyPath, str]

    def place(self, path: KeyPath) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return self.variables[path[:length]]
        return f"{self.file}:{line_of(self.text, path)}"


def complaint(found: ValidationError, written: Written, model: type[BaseModel]) -> UserError:
    """About the first error, but an unknown key comes before all: a misspelt one may be missing as well."""
    errors = found.errors(include_url=False, include_input=False)
    error = min(errors, key=lambda error: error["type"] != "extra_forbidden")
    path, value = _walk(error["loc"], written.table)
    if error["type"] == "extra_forbidden":
        what, fix = _unknown(path, value), _nearest(str(path[-1]), _names(model, path[:-1]))
    else:
        path = (*path, error["loc"][-1]) if error["type"] == "missing" else path
        words = _words(error)
        what, fix = f"{described(path)}: {words}", _noted(error) or _fix(words, path, value)
    return UserError(f"{written.place(path)}: {what}", fix=fix)


def described(path: KeyPath) -> str:
    """A key as its author thinks of it: `[sources.stripe] secrets[0]`."""
    depth = _TABLE_DEPTHS.get(str(path[0]), 1)
    table = f"[{_dotted(path[:depth])}]" if depth else ""
    return f"{table} {_dotted(path[depth:])}".strip()


def _dotted(path: KeyPath) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def _quoted(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _walk(location: Iterable[str | int], value: Any) -> tuple[KeyPath, Any]:
    """Pydantic mixes the members of unions into its locations; what the table does not hold is left out."""
    path: KeyPath = ()
    for part in location:
        inside = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(inside, dict) and part in inside:
            path, value = (*path, part), inside[part]
    return path, value


def _words(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    fitting = (words for prefix, words in _WORDS.items() if error["type"].startswith(prefix))
    return next(fitting, error["msg"].replace("Input should ", "must "))


def _noted(error: ErrorDetails) -> str:
    """What to do, where the check itself says it."""
    return "".join(getattr(error.get("ctx", {}).get("error"), "__notes__", ()))


def _unknown(path: KeyPath, value: Any) -> str:
    if len(path) > 1:
        return f"unknown key '{path[-1]}' in {described(path[:-1])}"
    return f"unknown table [{_dotted(path)}]" if isinstance(value, dict) else f"unknown key '{path[-1]}'"


def _names(kind: Any, path: KeyPath) -> list[str]:
    for part in path:
        named, own = children(kind)
        kind = _element(kind) if isinstance(part, int) else named.get(part, own)
    return list(children(kind)[0])


def _element(kind: Any) -> Any:
    """Of a list, which may be left out."""
    lists = [option for option in (kind, *get_args(kind)) if get_origin(option) is tuple]
    return get_args(lists[0])[0] if lists else None


def _nearest(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key, names, 1)
    return f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(names)}"


def _fix(words: str, path: KeyPath, value: Any) -> str:
    if words == RULE:
        return "Write the secret into .env as NAME=… and env:NAME in its place"
    return f'Put it into brackets: {path[-1]} = ["…"]' if words == _NOT_A_LIST and isinstance(value, str) else ""
