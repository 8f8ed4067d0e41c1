"""Refusals as answers: `application/problem+json` (RFC 9457) with a stable `code`, and nothing that helps a forger."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response

RETRY_AFTER_S = 5
CLOSES: Final = frozenset({400, 408, 413, 431})  # where the next request begins is unknown, or not worth waiting for
MEDIA_TYPE: Final = "application/problem+json"
HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    **{status: {"connection": "close"} for status in CLOSES},
    401: {"www-authenticate": "Signature"},  # RFC 9110 11.6.1: a 401 names a challenge
    405: {"allow": "POST"},
    503: {"retry-after": str(RETRY_AFTER_S)},
}
NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Problem(Exception):
    """An answer that is not a success. `detail` is for the caller; `note` is for the operator only."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        note: str = "",
        claimed_at: float | None = None,
        headers: Mapping[str, str] = NONE,
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.detail = detail
        self.note = note or detail
        self.claimed_at = claimed_at
        self.headers = headers  # this answer's own, with names in lower case

    @property
    def body(self) -> bytes:
        return problem_body(self.status, self.code, self.detail)


def problem_body(status: int, code: str, detail: str = "") -> bytes:
    members: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "code": code}
    if detail:
        members["detail"] = detail
    return json.dumps(members).encode()


def problem_head(status: int, own: Mapping[str, str] = NONE) -> bytes:
    """Its header lines, for whoever writes the answer himself; whether the connection closes is his to say."""
    headers = {"content-type": MEDIA_TYPE, **HEADERS.get(status, NONE), **own}
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "connection").encode()


def problem_response(status: int, code: str, detail: str = "", headers: Mapping[str, str] = NONE) -> Response:
    """`headers` are this answer's own, with names in lower case."""
    both = {**HEADERS.get(status, NONE), **headers}
    return Response(problem_body(status, code, detail), status, both, MEDIA_TYPE)
