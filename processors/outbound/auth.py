"""How an upstream knows us, as `httpx.Auth`: no I/O, one flow each."""

from collections.abc import Callable, Generator

from receiver.http import httpx
from receiver.settings import ApiKeyAuth, BasicAuth, BearerAuth

Flow = Generator[httpx.Request, httpx.Response, None]
Resolve = Callable[[str, str], bytes]
"""(reference, where) → the secret. Errors: UserError, which names the variable."""


class Header(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Flow:
        request.headers[self._name] = self._value
        yield request


class Query(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Flow:
        request.url = request.url.copy_merge_params({self._name: self._value})
        yield request


def auth_for(api: str, auth: BearerAuth | BasicAuth | ApiKeyAuth | None, resolve: Resolve) -> httpx.Auth | None:
    """Errors: UserError where a secret is missing."""

    def secret(reference: str, key: str) -> str:
        return resolve(reference, f"[apis.{api}] auth.{key}").decode()

    match auth:
        case None:
            return None
        case BearerAuth():
            return Header("Authorization", f"Bearer {secret(auth.token, 'token')}")
        case BasicAuth():
            return httpx.BasicAuth(secret(auth.username, "username"), secret(auth.password, "password"))
        case ApiKeyAuth():
            key = secret(auth.key, "key")
            return Query(auth.query, key) if auth.query else Header(auth.header, key)
