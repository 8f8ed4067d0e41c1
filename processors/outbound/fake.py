"""Upstreams for tests: they answer what the test says, keep what reached them, and can die in the middle of it."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from processors.outbound.upstream import NOT_SENT, Upstream, Upstreams
from receiver.http import httpx
from receiver.settings import ApiSettings, Settings

ADDRESS = "http://upstream"
LOST = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)  # of a connection that was there


@dataclass(frozen=True)
class Received:
    """A call as the upstream saw it. `path` is the one that the handler gave; header names match in any case."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    key: str | None
    """The idempotency key, where the upstream takes one."""

    def json(self) -> Any:
        return json.loads(self.body)


Element = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | Exception
"""(status, body), with headers if need be, or what went wrong."""

Answers = Sequence[Element] | Callable[[Received], Element]


class Halt(BaseException):
    """Ends an attempt from inside a call, past every `except Exception` of the handler."""


class Answering:
    """What one upstream answers, over all attempts."""

    def __init__(self, name: str, answers: Answers) -> None:
        if not (callable(answers) or isinstance(answers, list)):
            raise TypeError(f"apis[{name!r}] must be a list of answers, or a function of the call, not {answers!r}")
        self._name = name
        self._function = answers if callable(answers) else None
        self._left: deque[Element] = deque(answers if isinstance(answers, list) else ())
        self._given = len(self._left)

    def answer(self, call: Received) -> httpx.Response | Exception:
        """Errors: whatever is wrong with the test; what a network does is returned."""
        try:
            return _as_http(self._function(call) if self._function else self._next(call))
        except (httpx.HTTPError, ConnectionError, TimeoutError) as error:
            return _as_http(error)

    def _next(self, call: Received) -> Element:
        if not self._left:
            raise AssertionError(
                f"{call.method} {call.path} is call {self._given + 1} of {self._name!r},"
                f" and apis[{self._name!r}] has answers for {self._given}"
            )
        return self._left.popleft()


def _as_http(element: Any) -> "httpx.Response | Exception":
    match element:
        case httpx.HTTPError():
            return element
        case ConnectionError() if not isinstance(element, LOST):
            return httpx.ConnectError(str(element))
        case Exception():
            return httpx.ReadError(f"{type(element).__name__}: {element}" if str(element) else type(element).__name__)
        case (int() as status, body):
            return _response(status, body, {})
        case (int() as status, body, Mapping() as headers):
            return _response(status, body, headers)
    raise TypeError(f"an answer is (status, body) or an exception, not {element!r}")


def _response(status: int, body: Any, headers: Mapping[str, str]) -> httpx.Response:
    if body is None or isinstance(body, str | bytes):
        return httpx.Response(status, headers=headers, content=body)
    return httpx.Response(status, headers=headers, json=body)


class FakeUpstreams(Upstreams):
    """Of one attempt. An api needs no configuration; what is configured of it is whether it takes keys."""

    def __init__(self, settings: Settings, answering: Mapping[str, Answering], crash_after: int | None) -> None:
        super().__init__(settings)
        self._answering = answering
        self._crash_after = crash_after
        self._effects = 0
        self.calls: list[Received] = []
        self.on_halt: Callable[[], None] = lambda: None
        self.halted = False
        self.mistake: BaseException | None = None
        """What is wrong with the test itself."""

    def get(self, name: str) -> Upstream:
        upstream = self._open.get(name)
        if upstream is None:
            written = self._settings.apis.get(name)
            api = ApiSettings(base_url=ADDRESS)
            if written is not None:
                api = api.model_copy(update={"idempotency_header": written.idempotency_header})
            transport = httpx.MockTransport(partial(self._answer, name, api.idempotency_header))
            upstream = self._open[name] = Upstream(name, self._settings, api, transport)
        return upstream

    def _answer(self, name: str, key_header: str, request: httpx.Request) -> httpx.Response:
        if self.halted:
            raise Halt
        url, headers = request.url, request.headers
        key = headers.get(key_header) if key_header else None
        call = Received(request.method, url.path, dict(url.params), headers, request.content, key)
        self.calls.append(call)
        try:
            answer = self._known(name, call).answer(call)
        except BaseException as error:
            self.mistake = error
            self._halt()
        self._effects += not isinstance(answer, NOT_SENT)
        if self._effects == self._crash_after and not isinstance(answer, NOT_SENT):
            self._halt()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _known(self, name: str, call: Received) -> Answering:
        if name not in self._answering:
            known = ", ".join(map(repr, self._answering)) or "none"
            raise LookupError(f"the handler called {call.method} {call.path} of {name!r}, and apis has {known}")
        return self._answering[name]

    def _halt(self) -> NoReturn:
        self.halted = True
        self.on_halt()
        raise Halt
