"""How references to secrets are written, shown and read; settings.py says which keys hold one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from receiver.errors import UserError

RULE = "a secret must be written env:NAME, file:PATH or literal:TEXT"
_SHOWN_LITERAL = "literal:…"
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_.-]*|file:.+|literal:.+", re.DOTALL)


class Secret(str):
    """A reference. Printed, formatted, logged or dumped as JSON, a literal one hides its text."""

    __slots__ = ()

    @classmethod
    def written(cls, text: str) -> "Secret":
        """Raises without repeating the text: what lacks a prefix is most likely the secret itself."""
        if not _REFERENCE.fullmatch(text):
            raise ValueError(RULE)
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.written, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )

    def __str__(self) -> str:
        return _SHOWN_LITERAL if self.startswith("literal:") else super().__str__()

    def __repr__(self) -> str:
        return repr(str(self))

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)


def read(reference: str, where: str, root: Path, environ: Mapping[str, str]) -> bytes:
    """The secret that a reference names; relative files start at `root`."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return _variable(rest, where, root, environ)
    if kind == "file":
        return _file(root / rest, where)
    # What was printed must not come back as a key that everybody can guess.
    if kind == "literal" and rest and reference != _SHOWN_LITERAL:
        return rest.encode()
    raise UserError(RULE, where)


def _variable(name: str, where: str, root: Path, environ: Mapping[str, str]) -> bytes:
    secret = environ.get(name, "")
    if secret.strip():
        return secret.encode("utf-8", "surrogateescape")
    state = "empty" if name in environ else "not set"
    fix = f"Type export {name}=… or write {name}=… into {root / '.env'}"
    raise UserError(f"the variable {name} is {state}", where, fix)


def _file(path: Path, where: str) -> bytes:
    try:
        secret = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise UserError(f"the file {path} cannot be read: {reason}", where) from None
    secret = secret.removesuffix(b"\r\n" if secret.endswith(b"\r\n") else b"\n")
    if not secret.strip():
        raise UserError(f"the file {path} is empty", where, "Write the secret into it")
    return secret
