"""How deliveries are answered where a vendor prescribes it; else intake answers with the events' ids. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from receiver.errors import UserError

_KEYS: Final = ("status", "body", "type", "refused")
_TYPE: Final = re.compile(r"[!-~]+/[!-~]+(; ?[!-~]+)?")


@dataclass(frozen=True, slots=True)
class Prescribed:
    status: int
    type: str
    """Of both bodies; an empty one has none."""
    body: bytes
    refused: bytes | None
    """The body of every refusal; None where our own problem+json will do."""


def compile_answer(keys: Mapping[str, Any], where: str) -> Prescribed | None:
    written = keys.get("answer")
    if written is None:
        return None
    status, body, kind = written.get("status", 200), written.get("body", ""), written.get("type", "text/plain")
    refused = written.get("refused")
    texts = (body, kind, "" if refused is None else refused)
    rules = (
        (not set(written) <= set(_KEYS), f"an answer has no key but {', '.join(_KEYS)}"),
        (type(status) is not int or not 200 <= status < 300, f"{status!r} does not tell the vendor that it was taken"),
        (not all(isinstance(text, str) for text in texts), "body, type and refused are texts"),
        (isinstance(kind, str) and not _TYPE.fullmatch(kind), f"{kind!r} is no media type"),
        (status == 204 and body != "", "204 has no body"),
    )
    for is_wrong, what in rules:
        if is_wrong:
            raise UserError(what, f"{where} answer", 'write it like answer = {status = 200, body = "ok"}')
    return Prescribed(status, kind, body.encode(), None if refused is None else refused.encode())
