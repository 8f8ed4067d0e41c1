"""One upstream API: how a call becomes stored bytes and a request again, and what comes back."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from processors.errors import Sent
from processors.outbound.auth import HEADER_VALUE, auth_for
from processors.outbound.connections import ONE, Connections
from receiver import __version__
from receiver.http import httpx
from receiver.settings import ApiSettings, Settings

CORRELATION_HEADER = "X-Correlation-Id"
ANSWER_BYTES = 16 << 20  # it is held in memory and kept in the ledger
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler wants sent, and to which api: without auth and keys, which are added when it leaves."""

    api: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def to_bytes(self) -> bytes:
        """A readable form that two equal calls share: request line, headers, empty line, body."""
        head = [f"{self.method} {self.api} {self.target}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\n".join(head).encode() + b"\n\n" + self.content

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Call":
        head, _, content = stored.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        method, api, target = first.split(" ", 2)
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
        return cls(api, method, target, headers, content)


@dataclass(frozen=True)
class Response:
    """What the upstream answered, now or on the attempt that recorded it. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, or how far the call got without an answer."""

    response: Response | None
    sent: Sent | None = None
    error: str = ""

    @property
    def whole(self) -> Response:
        assert self.response is not None
        return self.response


def make_call(
    api: str,
    method: str,
    path: str,
    *,
    json_value: Any = None,
    data: Mapping[str, Any] | None = None,
    content: bytes | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Call:
    """What cannot be sent as it is must show here, before an intent is recorded.

    Errors: ValueError for an absolute address: it would carry this api's credentials to another host.
    """
    url = _relative(path)
    if params:
        url = url.copy_merge_params(params)
    body, content_type = _body(json_value, data, content)
    kept = dict(headers or {})
    if content_type and "content-type" not in {name.lower() for name in kept}:
        kept["Content-Type"] = content_type
    for name, value in kept.items():
        if not (HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value)):  # a line break would add a header
            raise ValueError(f"this cannot stand in a header: {name!r}")
    return Call(api, method, str(url), tuple(sorted(kept.items())), body)


@lru_cache(1024)
def _relative(path: str) -> httpx.URL:
    url = httpx.URL(path)
    if url.host or url.scheme:
        raise ValueError(f"the path of a call is relative to base_url, not an address of its own: {path!r}")
    return url


def _body(json_value: Any, data: Mapping[str, Any] | None, content: bytes | None) -> tuple[bytes, str | None]:
    """With its content type. JSON is ours to write: another attempt's, in a later version, must be the same bytes."""
    if json_value is not None and content is None and not data:
        text = json.dumps(json_value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode(), "application/json"
    request = httpx.Request("POST", "http://upstream/", data=data, content=content)
    return request.read(), request.headers.get("content-type")


class Upstream:
    def __init__(
        self, name: str, settings: Settings, api: ApiSettings, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        """Errors: UserError where a secret is missing."""
        self.name = name
        self.idempotency_header = api.idempotency_header
        connection = partial(
            httpx.AsyncClient,
            base_url=api.base_url,
            auth=auth_for(name, api.auth, settings.resolve),
            timeout=api.timeout_s,
            verify=httpx.create_ssl_context() if transport is None else True,  # once: it reads all authorities
            limits=ONE,
            headers={"User-Agent": f"postern/{__version__}"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # one event's session is not another's
            transport=transport,
        )
        self._connections = Connections(connection, api.timeout_s)

    @property
    def keyed(self) -> bool:
        return bool(self.idempotency_header)

    async def send(self, call: Call, *, key: str | None, correlation: str) -> Answered:
        headers = {CORRELATION_HEADER: correlation}
        if key and self.idempotency_header:
            headers[self.idempotency_header] = key
        try:
            async with self._connections.one() as connection:
                request = connection.build_request(
                    call.method, call.target, headers=dict(call.headers), content=call.content
                )
                request.headers.update(headers)
                return await self._read(await connection.send(request, stream=True))
        except NOT_SENT as error:
            return Answered(None, Sent.NO, _say(error))
        except httpx.HTTPError as error:
            return Answered(None, Sent.MAYBE, _say(error))

    async def _read(self, response: httpx.Response) -> Answered:
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES:
                    return Answered(None, Sent.MAYBE, f"its answer is larger than {ANSWER_BYTES} bytes")
        finally:
            await response.aclose()
        return Answered(Response(response.status_code, dict(response.headers), bytes(body)))

    async def aclose(self) -> None:
        await self._connections.aclose()


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Upstreams:
    """The configured upstreams, each made when a handler first asks for it, in any thread. One event loop uses them."""

    def __init__(self, settings: Settings, transports: Mapping[str, httpx.AsyncBaseTransport] | None = None) -> None:
        self._settings = settings
        self._transports = transports or {}
        self._open: dict[str, Upstream] = {}
        self._before: list[Upstream] = []

    def change(self, settings: Settings) -> None:
        """From the next call on; those under way end as they began, on connections that stay open until `aclose`."""
        self._before += self._open.values()
        self._settings = settings
        self._open = {}

    def get(self, name: str) -> Upstream:
        """Errors: LookupError for a name that is not configured, UserError where its secret is missing."""
        opened = self._open  # before the settings, which `change` sets first: no old one gets among the new
        upstream = opened.get(name)
        if upstream is None:
            settings = self._settings
            api = settings.apis.get(name)
            if api is None:
                known = ", ".join(sorted(settings.apis)) or "none"
                raise LookupError(f"there is no [apis.{name}] in the configuration (known: {known})")
            upstream = opened.setdefault(name, Upstream(name, settings, api, self._transports.get(name)))
        return upstream

    async def aclose(self) -> None:
        await asyncio.gather(*(upstream.aclose() for upstream in (*self._before, *self._open.values())))
        self._before.clear()
        self._open.clear()


def headers_to_bytes(headers: Mapping[str, str]) -> bytes:
    return json.dumps(dict(headers)).encode()


def headers_from_bytes(stored: bytes | None) -> dict[str, str]:
    headers: dict[str, str] = json.loads(stored or b"{}")
    return headers
