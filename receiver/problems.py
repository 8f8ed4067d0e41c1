"""Refusals as answers: `application/problem+json` (RFC 9457) with a stable `code`, and nothing that helps a forger."""

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

RETRY_AFTER_S = 5
MUST_CLOSE = frozenset(
    {400, 408, 413, 431}
)  # the rest of the request was not read: the connection cannot be used again


class Problem(Exception):
    """An answer that is not a success. `detail` is for the caller; `note` is for the operator only."""

    def __init__(
        self, status: int, code: str, detail: str = "", *, note: str = "", claimed_at: float | None = None
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.detail = detail
        self.note = note or detail
        self.claimed_at = claimed_at

    def response(self) -> Response:
        return problem_response(self.status, self.code, self.detail)


def problem_body(status: int, code: str, detail: str = "") -> bytes:
    members: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "code": code}
    if detail:
        members["detail"] = detail
    return json.dumps(members).encode()


def problem_response(status: int, code: str, detail: str = "") -> Response:
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = "POST"
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Signature"  # RFC 9110 11.6.1: a 401 names a challenge
    if status in MUST_CLOSE:
        headers["connection"] = "close"
    return Response(problem_body(status, code, detail), status, headers, "application/problem+json")
