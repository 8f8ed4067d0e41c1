"""How an upstream knows us, as `httpx.Auth`: no I/O, one flow each."""

import re
from collections.abc import Callable, Generator

from receiver.errors import UserError
from receiver.http import httpx
from receiver.settings import ApiKeyAuth, BasicAuth, BearerAuth

HEADER_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
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
        return resolve(reference, f"[apis.{api}] auth.{key}").decode("utf-8", "replace")

    def in_header(reference: str, key: str) -> str:
        value = secret(reference, key)
        if not HEADER_VALUE.fullmatch(value):  # or it would show when a call is about to leave, and put that in doubt
            raise UserError("this secret cannot stand in a header", f"[apis.{api}] auth.{key}", "Look for line breaks.")
        return value

    match auth:
        case None:
            return None
        case BearerAuth():
            return Header("Authorization", f"Bearer {in_header(auth.token, 'token')}")
        case BasicAuth():
            return httpx.BasicAuth(secret(auth.username, "username"), secret(auth.password, "password"))
        case ApiKeyAuth():
            if auth.query:
                return Query(auth.query, secret(auth.key, "key"))
            return Header(auth.header, in_header(auth.key, "key"))
