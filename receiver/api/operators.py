"""The operators' API under /v1. Its resources are not built yet; that nobody gets in without the token is."""

import hmac

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from receiver.problems import problem_response


class Operators:
    """Answers 401 to everyone without `Authorization: Bearer <admin token>`, and to everyone where no token is set."""

    def __init__(self, token: bytes | None) -> None:
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._may_enter(Headers(scope=scope).get("authorization", "")):
            response = problem_response(
                501, "not_built", "the operators' API is not built yet: use the postern command"
            )
        else:
            response = problem_response(401, "unauthorized", headers={"www-authenticate": "Bearer"})
        await response(scope, receive, send)

    def _may_enter(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if not self.token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode("latin-1", "replace"), self.token)
