"""What a handler can do through `ctx`, in both of its forms."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from processors import Context, Event, Response, SyncContext, on
from processors.testing import Delivered, Received, deliver

PAID = "stripe/payment_intent.succeeded"


class Entry(BaseModel):
    id: str


def run(use: Callable[[Context], Any], apis: Any = None) -> Delivered:
    """One attempt of an async handler that does `await use(ctx)`."""

    @on("stripe", "*", name="async")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await use(ctx)

    return deliver(handler, PAID, apis=apis)


def run_plainly(use: Callable[[SyncContext], Any], apis: Any = None) -> Delivered:
    @on("stripe", "*", name="sync")
    def handler(event: Event[Any], ctx: SyncContext) -> None:
        use(ctx)

    return deliver(handler, PAID, apis=apis)


def created(call: Received) -> tuple[int, Any]:
    return 201, {"id": "entry_1"}


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete"])
def test_each_verb_sends_its_method_and_gives_a_response(verb: str) -> None:
    seen: list[Response] = []

    async def use(ctx: Context) -> None:
        seen.append(await getattr(ctx.api("x"), verb)("/entries", json={"a": 1}))

    def use_plainly(ctx: SyncContext) -> None:
        seen.append(getattr(ctx.api("x"), verb)("/entries", json={"a": 1}))

    for result in (run(use, {"x": created}), run_plainly(use_plainly, {"x": created})):
        assert result.state == "succeeded"
        assert (result.calls[0].method, result.calls[0].body) == (verb.upper(), b'{"a":1}')
    assert seen[0] == seen[1]
    assert (seen[0].status, seen[0].json(), seen[0].text) == (201, {"id": "entry_1"}, '{"id":"entry_1"}')
    assert seen[0].headers["content-type"] == "application/json"


def test_any_method_can_be_requested_and_is_recorded_unless_it_only_reads() -> None:
    async def use(ctx: Context) -> None:
        for method in ("purge", "HEAD", "OPTIONS", "LINK"):
            await ctx.api("x").request(method, "/a")

    result = run(use, {"x": created})
    assert [call.method for call in result.calls] == ["PURGE", "HEAD", "OPTIONS", "LINK"]
    assert list(result.steps) == ["PURGE x /a", "LINK x /a"]


def test_requested_plainly_too() -> None:
    result = run_plainly(lambda ctx: ctx.api("x").request("PURGE", "/a"), {"x": created})
    assert list(result.steps) == ["PURGE x /a"]


def test_a_call_takes_parameters_headers_a_form_or_bytes() -> None:
    async def use(ctx: Context) -> None:
        api = ctx.api("x")
        await api.post("/a?b=c", params={"d": "e f"}, headers={"X-Mine": "1"}, data={"g": "h"})
        await api.post("/a", content=b"\xff\x00")

    form, raw = run(use, {"x": created}).calls
    assert (form.path, form.params, form.headers["x-mine"], form.body) == (
        "/a", {"b": "c", "d": "e f"}, "1", b"g=h",
    )  # fmt: skip
    assert raw.body == b"\xff\x00"


def test_an_answer_can_be_read_into_a_model() -> None:
    seen: list[Any] = []

    async def use(ctx: Context) -> None:
        entry = await ctx.api("x").post("/entries", into=Entry)
        seen.append(entry.id)  # the model's own type: mypy reads this file too
        seen.append(await ctx.api("x").get("/entries", into=dict[str, str]))

    def use_plainly(ctx: SyncContext) -> None:
        seen.append(ctx.api("x").post("/entries", into=Entry).id)

    run(use, {"x": created})
    run_plainly(use_plainly, {"x": created})
    assert seen == ["entry_1", {"id": "entry_1"}, "entry_1"]


def test_an_answer_that_does_not_fit_the_model_is_a_failure_and_what_was_done_stays_done() -> None:
    async def use(ctx: Context) -> None:
        await ctx.api("x").post("/entries", into=Entry)

    result = run(use, {"x": [(201, {"other": 1})]})
    assert (result.state, result.code) == ("waiting", "exception")
    again = result.again()
    assert (again.code, again.calls) == ("exception", [])


def test_an_expected_status_is_an_answer_like_any_other() -> None:
    seen: list[int] = []

    async def use(ctx: Context) -> None:
        seen.append((await ctx.api("x").delete("/entries/1", expect={404})).status)
        seen.append((await ctx.api("x").get("/entries/1", expect=[404, 410])).status)

    result = run(use, {"x": [(404, None), (410, None), (200, None)]})
    assert (result.state, seen) == ("succeeded", [404, 410])
    assert result.steps["DELETE x /entries/1"].state == "done"
    assert [call.method for call in result.again().calls] == ["GET"]


def test_reading_is_recorded_only_if_asked_for() -> None:
    prices = iter(range(1, 100))
    seen: list[tuple[Any, Any]] = []

    async def use(ctx: Context) -> None:
        kept = await ctx.api("x").get("/price", record=True)
        fresh = await ctx.api("x").get("/price")
        seen.append((kept.json(), fresh.json()))

    run(use, {"x": lambda call: (200, next(prices))}).again()
    assert seen == [(1, 2), (1, 3)]


def test_a_recorded_answer_comes_back_equal() -> None:
    seen: list[Response] = []

    async def use(ctx: Context) -> None:
        seen.append(await ctx.api("x").post("/a"))

    again = run(use, {"x": [(207, b"\xff\x00", {"X-Odd": "a, b", "Set-Cookie": "a=b"})]}).again()
    assert (again.state, again.calls) == ("succeeded", [])
    assert seen[0] == seen[1]
    assert (seen[0].status, seen[0].body, seen[0].headers["x-odd"]) == (207, b"\xff\x00", "a, b")


def test_steps_are_named_by_method_api_and_path_and_numbered_from_the_second_on() -> None:
    async def use(ctx: Context) -> None:
        api = ctx.api("x")
        await api.post("/a", json=1)
        await api.post("/a?page=2", json=2)
        await api.post("/a/b", json=3)
        await api.post("/a", json=4, step="mine")
        await api.post("/z", json=5, step="mine")

    result = run(use, {"x": created})
    assert list(result.steps) == ["POST x /a", "POST x /a #2", "POST x /a/b", "mine", "mine #2"]
    assert len({call.key for call in result.calls}) == 5


def test_calls_at_once_are_named_in_the_order_they_were_made() -> None:
    async def use(ctx: Context) -> None:
        await asyncio.gather(*(ctx.api("x").post("/a", json=number) for number in range(5)))

    result = run(use, {"x": created})
    assert [step.key for step in result.steps.values()] == [call.key for call in result.calls]
    assert [call.json() for call in result.calls] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("path", ["https://evil.test/", "//evil.test/entries"])
def test_an_absolute_address_is_refused_and_nothing_is_recorded(path: str) -> None:
    async def use(ctx: Context) -> None:
        await ctx.api("x").post(path)

    result = run(use, {"x": []})
    assert (result.code, result.calls, result.steps) == ("exception", [], {})
    assert result.reason is not None
    assert "is relative to base_url" in result.reason


def test_a_line_break_in_a_header_is_refused_and_nothing_is_recorded() -> None:
    async def use(ctx: Context) -> None:
        await ctx.api("x").post("/", headers={"X-Note": "a\r\nAuthorization: mine"})

    result = run(use, {"x": []})
    assert (result.code, result.calls, result.steps) == ("exception", [], {})


# ── steps ──


def test_a_step_is_done_once_and_its_result_comes_back() -> None:
    done: list[str] = []
    seen: list[Any] = []

    def send(to: str, *, subject: str = "") -> dict[str, Any]:
        done.append(to)
        return {"to": to, "parts": (1, 2)}

    async def send_async(to: str) -> int:
        done.append(to)
        return 7

    async def use(ctx: Context) -> None:
        seen.append(await ctx.step("mail", send, "a"))
        seen.append(await ctx.step("push", send_async, "b"))

    def use_plainly(ctx: SyncContext) -> None:
        seen.append(ctx.step("mail", send, "a"))
        seen.append(ctx.step("push", send_async, "b"))

    for first in (run(use), run_plainly(use_plainly)):
        assert (first.state, first.steps["mail"].result) == ("succeeded", {"to": "a", "parts": [1, 2]})
        assert first.again().state == "succeeded"
    assert done == ["a", "b"] * 2
    assert seen == [{"to": "a", "parts": [1, 2]}, 7] * 4


def test_a_plain_handlers_step_runs_in_the_handlers_own_thread() -> None:
    threads: list[int] = []

    def use(ctx: SyncContext) -> None:
        threads.append(threading.get_ident())
        ctx.step("work", lambda: threads.append(threading.get_ident()))

    run_plainly(use)
    assert threads[0] == threads[1] != threading.get_ident()


def test_the_second_step_of_a_name_is_another_step() -> None:
    async def use(ctx: Context) -> None:
        for number in range(2):
            await ctx.step("mail", lambda number: number, number)

    assert {name: step.result for name, step in run(use).steps.items()} == {"mail": 0, "mail #2": 1}


def test_a_step_that_raises_had_no_effect_and_is_done_again() -> None:
    outcomes = iter([ValueError("no"), 5])

    def work() -> Any:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def use(ctx: Context) -> None:
        await ctx.step("work", work)

    failed = run(use)
    assert (failed.state, failed.code, failed.steps["work"].state) == ("waiting", "exception", "refused")
    again = failed.again()
    assert (again.state, again.steps["work"].result) == ("succeeded", 5)


class Killed(BaseException):
    """What a process that dies looks like from inside it."""


def dying_once() -> Callable[[], int]:
    lives = iter([Killed(), None])

    def work() -> int:
        if (end := next(lives)) is not None:
            raise end
        return 1

    return work


def test_a_step_that_was_cut_off_is_ambiguous() -> None:
    work = dying_once()

    async def use(ctx: Context) -> None:
        await ctx.step("charge", work)

    cut = run(use)
    assert cut.steps["charge"].state == "open"
    again = cut.again()
    assert (again.state, again.code) == ("parked", "ambiguous")
    assert again.reason == "step 'charge' was begun, and whether it finished is unknown"


@pytest.mark.parametrize("plainly", [False, True])
def test_a_repeatable_step_that_was_cut_off_is_done_again(plainly: bool) -> None:
    work = dying_once()

    async def use(ctx: Context) -> None:
        await ctx.step("index", work, repeatable=True)

    def use_plainly(ctx: SyncContext) -> None:
        ctx.step("index", work, repeatable=True)

    again = (run_plainly(use_plainly) if plainly else run(use)).again()
    assert (again.state, again.steps["index"].result) == ("succeeded", 1)


def test_a_result_that_is_no_json_was_an_effect_all_the_same() -> None:
    calls: list[int] = []

    def work() -> object:
        calls.append(1)
        return object()

    async def use(ctx: Context) -> None:
        await ctx.step("odd", work)

    result = run(use)
    assert (result.state, result.code) == ("parked", "ambiguous")
    assert (
        result.reason
        == "step 'odd' was done, but its result is no JSON: Object of type object is not JSON serializable"
    )
    assert (result.again().code, calls) == ("ambiguous", [1])


def test_a_call_inside_of_a_step_ends_the_attempt_like_any_other() -> None:
    async def use(ctx: Context) -> None:
        await ctx.step("outer", lambda: ctx.api("x").post("/a"))

    result = run(use, {"x": [(422, "no")]})
    assert (result.state, result.code) == ("parked", "refused")


# ── keys ──


def test_a_key_is_the_same_on_every_attempt_and_in_both_forms_of_a_handler() -> None:
    keys: list[str] = []

    async def use(ctx: Context) -> None:
        keys.append(ctx.key("charge"))
        keys.append(ctx.key("charge"))

    run(use).again()
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_the_key_of_a_named_call_is_its_steps_key() -> None:
    keys: list[str] = []

    async def use(ctx: Context) -> None:
        keys.append(ctx.key("mine"))
        await ctx.api("x").post("/a", step="mine")

    assert run(use, {"x": created}).calls[0].key == keys[0]
