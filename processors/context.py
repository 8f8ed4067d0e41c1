"""What a handler works with besides its event: upstreams, steps, keys. One engine: the sync form submits and waits."""

import json
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, Protocol, TypedDict, cast

from pydantic import TypeAdapter
from typing_extensions import TypeVar, Unpack

from processors.outbound.client import Wish, perform
from processors.outbound.ledger import Todo
from processors.outbound.recorder import Recorder
from processors.outbound.upstream import Response, Upstream, Upstreams, make_call
from receiver.errors import UserError
from receiver.metrics import Metrics
from receiver.store.steps import StepRow

M = TypeVar("M", default=Response)
R = TypeVar("R")
WHOLE = cast(Any, Response)  # `into` left out: the response itself


class Options(TypedDict, total=False):
    """Of a call: one of json, data (a form) and content; params and headers; and how it is treated.

    `step` names it, for loops and branches. `expect` are further statuses that are fine. `record` records a GET too.
    """

    json: Any
    data: Mapping[str, Any]
    content: bytes
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    step: str
    expect: Collection[int]
    record: bool


class Submit(Protocol):
    """Runs a coroutine on the engine's loop and waits for it, from a thread."""

    def __call__(self, work: Coroutine[Any, Any, R], /) -> R: ...


class Context:
    """Of an `async def` handler. `attempt` counts this run's attempts from 1."""

    def __init__(self, recorder: Recorder, upstreams: Upstreams, metrics: Metrics, attempt: int) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._metrics = metrics
        self.attempt = attempt

    def api(self, name: str) -> "Api":
        """The upstream `[apis.NAME]`. A missing secret of it parks the run."""
        try:
            return Api(self._recorder, self._upstreams.get(name), self._metrics)
        except UserError as error:
            self._recorder.park("missing_secret", f"{error.what} ({error.where})")

    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, repeatable: bool = False) -> Any:
        """Run `function(*args)`, plain or async, once: on later attempts its recorded JSON result comes back instead.

        An exception of its own says that it had no effect. A crash in between leaves the step ambiguous, unless
        `repeatable` says that running it again does no harm.
        """
        todo, row = await self._begin(name, args, repeatable)
        if todo is Todo.ANSWER:
            return json.loads(row.body or b"null")
        try:
            result = function(*args)
            if isawaitable(result):
                result = await result
        except Exception:
            await self._recorder.to_its_end(self._recorder.conclude(row, "refused"))
            raise
        return await self._finish(row, result)

    async def _begin(self, name: str, args: tuple[Any, ...], repeatable: bool) -> tuple[Todo, StepRow]:
        wanted = repr(args).encode("utf-8", "replace")  # to be read by people: what runs again is the function
        name = self._recorder.name(name, name)
        todo, row = await self._recorder.begin(name, wanted, named=True, repeatable=lambda _: repeatable)
        if todo is Todo.AMBIGUOUS:
            self._recorder.park("ambiguous", f"step {name!r} was begun, and whether it finished is unknown")
        return todo, row

    async def _finish(self, row: StepRow, result: Any) -> Any:
        try:
            body = json.dumps(result).encode()
        except (TypeError, ValueError) as error:
            self._recorder.park("ambiguous", f"step {row.name!r} was done, but its result is no JSON: {error}")
        await self._recorder.to_its_end(self._recorder.conclude(row, "done", body=body))
        return json.loads(body)

    def key(self, name: str) -> str:
        """An idempotency key for a vendor's SDK or a unique column: the same on every attempt of this run."""
        self._recorder.check()
        return self._recorder.key(name)


class Api:
    """One upstream. Each verb gives a `Response`, or the body read as `into`; other outcomes end the attempt."""

    def __init__(self, recorder: Recorder, upstream: Upstream, metrics: Metrics) -> None:
        self._recorder = recorder
        self._upstream = upstream
        self._metrics = metrics

    async def get(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return await self.request("GET", path, into=into, **options)

    async def post(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return await self.request("POST", path, into=into, **options)

    async def put(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return await self.request("PUT", path, into=into, **options)

    async def patch(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return await self.request("PATCH", path, into=into, **options)

    async def delete(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return await self.request("DELETE", path, into=into, **options)

    async def request(self, method: str, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        response = await perform(
            self._recorder, self._upstream, _wish(self._upstream.name, method, path, options), self._metrics
        )
        if into is Response:
            return cast(M, response)
        return TypeAdapter(into).validate_json(response.body)


def _wish(api: str, method: str, path: str, options: Options) -> Wish:
    call = make_call(
        api,
        method.upper(),
        path,
        json_value=options.get("json"),
        data=options.get("data"),
        content=options.get("content"),
        params=options.get("params"),
        headers=options.get("headers"),
    )
    return Wish(call, options.get("step"), frozenset(options.get("expect", ())), options.get("record", False))


class SyncContext:
    """Of a plain `def` handler: the same, without `await`."""

    def __init__(self, context: Context, submit: Submit) -> None:
        self._context = context
        self._submit = submit

    @property
    def attempt(self) -> int:
        return self._context.attempt

    def api(self, name: str) -> "SyncApi":
        return SyncApi(self._context.api(name), self._submit)

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, repeatable: bool = False) -> Any:
        """In the handler's own thread: it may block, and what belongs to the thread, like a transaction, is there."""
        todo, row = self._submit(self._context._begin(name, args, repeatable))
        if todo is Todo.ANSWER:
            return json.loads(row.body or b"null")
        try:
            result = function(*args)
            if isawaitable(result):
                result = self._submit(_awaited(result))
        except Exception:
            self._submit(self._context._recorder.conclude(row, "refused"))
            raise
        return self._submit(self._context._finish(row, result))

    def key(self, name: str) -> str:
        return self._context.key(name)


class SyncApi:
    def __init__(self, api: Api, submit: Submit) -> None:
        self._api = api
        self._submit = submit

    def get(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.get(path, into=into, **options))

    def post(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.post(path, into=into, **options))

    def put(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.put(path, into=into, **options))

    def patch(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.patch(path, into=into, **options))

    def delete(self, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.delete(path, into=into, **options))

    def request(self, method: str, path: str, *, into: type[M] = WHOLE, **options: Unpack[Options]) -> M:
        return self._submit(self._api.request(method, path, into=into, **options))


async def _awaited(result: Awaitable[R]) -> R:
    return await result
