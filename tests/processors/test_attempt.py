"""One attempt, from a claimed run to its verdict, on a real store."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from processors import Context, Drop, Event, SyncContext, on
from processors.attempt import LOST
from receiver.http import httpx
from receiver.store import runs
from receiver.store.runs import Verdict
from tests.processors.bench import APIS, Apis, Bench, a_bench

QUICK = "[worker]\ntimeout_s = 0.05\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path, APIS) as bench:
        yield bench


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Bench]:
    """Attempts may take 50 milliseconds."""
    with a_bench(tmp_path, QUICK + APIS) as bench:
        yield bench


def attempt(bench: Bench, function: Any, body: Any = b"{}", apis: Apis | None = None) -> Verdict:
    bench.put(body=body)
    [run] = bench.claim(function)
    return bench.attempt(function, run, apis)


# ── how it ends ──


def test_a_handler_that_returns_has_succeeded(bench: Bench) -> None:
    @on("shop", "*")
    async def fine(event: Event[Any], ctx: Context) -> None: ...

    @on("shop", "*")
    def fine_plainly(event: Event[Any], ctx: SyncContext) -> None: ...

    for function in (fine, fine_plainly):
        assert attempt(bench, function) == Verdict("succeeded")
    assert bench.runs() == ["succeeded"] * 2


def test_a_failure_counts_and_waits_as_its_backoff_says(bench: Bench) -> None:
    @on("shop", "*")
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise ValueError("no")

    verdict = attempt(bench, fail)
    assert (verdict.state, verdict.code, verdict.failure, verdict.wait_s) == ("waiting", "exception", True, 5.0)
    [(state, failures, wait_us)] = bench.runs("state, failures, due_at - finished_at")
    assert (state, failures, wait_us) == ("waiting", 1, 5_000_000)


def test_a_failure_names_the_authors_line_and_not_ours(bench: Bench) -> None:
    @on("shop", "*")
    async def fail(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("http://elsewhere.test/")

    reason = attempt(bench, fail).reason
    assert reason is not None
    assert reason.endswith(f"at {__file__}:{fail.__code__.co_firstlineno + 2}")


@pytest.mark.parametrize(
    "text", ["half a character: \ud800", "nothing: \x00", "x" * 10_000], ids=["half", "nul", "long"]
)
def test_whatever_a_handler_says_can_be_stored(text: str, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # what pytest captured of it would end a process of pytest-xdist

    @on("shop", "*")
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise ValueError(text)

    @on("shop", "*")
    async def drop(event: Event[Any], ctx: Context) -> None:
        raise Drop(text)

    attempt(bench, fail)
    attempt(bench, drop)
    assert bench.runs() == ["waiting", "dropped"]


def test_a_reason_that_is_no_text_becomes_one(bench: Bench) -> None:
    @on("shop", "*")
    async def drop(event: Event[Any], ctx: Context) -> None:
        raise Drop({"not": "text"})  # type: ignore[arg-type]

    attempt(bench, drop)
    assert bench.runs("state, reason") == [("dropped", "{'not': 'text'}")]


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit(), BaseException()]
)
def test_nothing_that_a_handler_raises_is_more_than_a_failure(error: BaseException, bench: Bench) -> None:
    @on("shop", "*")
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise error

    @on("shop", "*")
    def fail_plainly(event: Event[Any], ctx: SyncContext) -> None:
        raise error

    @on("shop", "*")
    def fail_in_a_step(event: Event[Any], ctx: SyncContext) -> None:
        def work() -> None:
            raise error

        ctx.step("work", work)

    for function in (fail, fail_plainly, fail_in_a_step):
        verdict = attempt(bench, function)
        assert (verdict.state, verdict.code, verdict.failure) == ("waiting", "exception", True)


def test_a_handler_that_cancels_itself_has_failed(bench: Bench) -> None:
    @on("shop", "*")
    async def cancel(event: Event[Any], ctx: Context) -> None:
        raise asyncio.CancelledError

    assert attempt(bench, cancel).code == "exception"


def test_a_handler_with_the_wrong_parameters_has_failed(bench: Bench) -> None:
    @on("shop", "*")
    async def alone(event: Event[Any]) -> None: ...

    @on("shop", "*")
    def alone_plainly(event: Event[Any]) -> None: ...

    for function in (alone, alone_plainly):
        verdict = attempt(bench, function)
        assert (verdict.state, verdict.code) == ("waiting", "exception")
        assert verdict.reason is not None
        assert "positional argument" in verdict.reason


def test_a_plain_function_around_an_async_one_does_not_pass_for_done(bench: Bench) -> None:
    async def work() -> None:
        raise AssertionError("it must not run half")

    @on("shop", "*")
    def wrapped(event: Event[Any], ctx: SyncContext) -> Any:
        return work()

    verdict = attempt(bench, wrapped)
    assert (verdict.state, verdict.code) == ("waiting", "exception")
    assert verdict.reason is not None
    assert "make it `async def`" in verdict.reason


# ── the event ──


class Payment(BaseModel):
    amount: int

    @field_validator("amount")
    @classmethod
    def _known(cls, amount: int) -> int:
        return {1: 1}[amount]


@on("shop", "*", name="typed")
async def typed(event: Event[Payment], ctx: Context) -> None: ...


def test_data_that_does_not_fit_is_parked_until_the_handler_is_mended(bench: Bench) -> None:
    verdict = attempt(bench, typed, b'{"amount": "many"}')
    assert (verdict.state, verdict.code) == ("parked", "schema_error")
    assert bench.runs("code, failures") == [("schema_error", 0)]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1", b"null", b'{"amount": 1e400}', b"[" * 500 + b"]" * 500])
def test_a_body_that_is_no_such_json_is_parked_too(body: bytes, bench: Bench) -> None:
    assert attempt(bench, typed, body).code == "schema_error"


def test_a_validator_that_breaks_is_a_failure(bench: Bench) -> None:
    verdict = attempt(bench, typed, {"amount": 2})
    assert (verdict.state, verdict.code, verdict.failure) == ("waiting", "exception", True)
    assert verdict.reason is not None
    assert verdict.reason.startswith("KeyError: 2 at ")


# ── apis ──


def test_a_missing_secret_parks_the_run_and_names_the_variable(tmp_path: Path) -> None:
    text = '[apis.ledger]\nbase_url = "http://x.test"\nauth = {type = "bearer", token = "env:LEDGER_TOKEN"}'

    @on("shop", "*")
    async def call(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries")

    @on("shop", "*")
    def call_plainly(event: Event[Any], ctx: SyncContext) -> None:
        ctx.api("ledger").post("/entries")

    with a_bench(tmp_path, text) as bench:
        for function in (call, call_plainly):
            verdict = attempt(bench, function)
            assert (verdict.state, verdict.code, verdict.reason) == (
                "parked", "missing_secret", "the variable LEDGER_TOKEN is not set ([apis.ledger] auth.token)",
            )  # fmt: skip
        assert bench.steps() == []


def test_an_unknown_api_is_a_failure_that_names_the_known_ones(bench: Bench) -> None:
    @on("shop", "*")
    def call(event: Event[Any], ctx: SyncContext) -> None:
        ctx.api("legder").post("/entries")

    verdict = attempt(bench, call)
    assert (verdict.state, verdict.code, verdict.failure) == ("waiting", "exception", True)
    assert verdict.reason is not None
    assert "there is no [apis.legder] in the configuration (known: bank, ledger)" in verdict.reason


def test_waiting_for_an_upstream_is_no_failure_and_never_a_loop_at_full_speed(bench: Bench) -> None:
    @on("shop", "*")
    async def call(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries")

    def limited(seconds: str) -> Any:
        return httpx.Response(429, headers={"Retry-After": seconds})

    verdict = attempt(bench, call, apis=Apis([limited("0")] * 3))
    assert (verdict.code, verdict.failure, verdict.wait_s) == ("rate_limited", False, 2.0)
    assert attempt(bench, call, apis=Apis([limited("3600")])).wait_s == 3600
    assert attempt(bench, call, apis=Apis([limited("Fri, 31 Dec 9999 23:59:59 GMT")])).wait_s == 1e9
    without = attempt(bench, call, apis=Apis([429]))
    assert (without.code, without.failure, without.wait_s) == ("rate_limited", False, 30.0)


# ── time ──


def test_an_async_handler_that_takes_too_long_is_cancelled(hurried: Bench) -> None:
    seen = []

    @on("shop", "*")
    async def slow(event: Event[Any], ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(ctx)

    verdict = attempt(hurried, slow)
    assert (verdict.state, verdict.code, verdict.reason, verdict.failure) == (
        "waiting", "timeout", "took longer than 0.05 s", True,
    )  # fmt: skip
    assert len(seen) == 1


def test_a_plain_handler_that_takes_too_long_is_left_behind_and_can_do_nothing_more(hurried: Bench) -> None:
    over, ended = threading.Event(), threading.Event()
    caught: list[str] = []

    @on("shop", "*")
    def slow(event: Event[Any], ctx: SyncContext) -> None:
        over.wait(10)
        for work in (lambda: ctx.api("ledger").post("/late"), lambda: ctx.step("late", print), lambda: ctx.key("late")):
            try:
                work()
            except Exception as error:
                caught.append(type(error).__name__)
        ended.set()

    def afterwards() -> None:
        over.set()
        ended.wait(10)

    hurried.put()
    [run] = hurried.claim(slow)
    apis = Apis([])
    assert hurried.attempt(slow, run, apis, afterwards).code == "timeout"
    assert caught == ["Ended"] * 3
    assert (apis.calls, hurried.steps()) == ([], [])


def test_what_ended_the_attempt_before_its_time_stays_its_end(hurried: Bench) -> None:
    @on("shop", "*")
    async def stubborn(event: Event[Any], ctx: Context) -> None:
        try:
            await ctx.api("ledger").post("/entries")
        except Exception:
            await asyncio.Event().wait()

    verdict = attempt(hurried, stubborn, apis=Apis([422]))
    assert (verdict.state, verdict.code) == ("parked", "refused")


def test_a_call_that_is_on_its_way_when_time_is_up_is_in_doubt(hurried: Bench) -> None:
    async def never() -> int:
        await asyncio.Event().wait()
        return 200

    @on("shop", "*")
    async def call(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries")

    assert attempt(hurried, call, apis=Apis([never])).code == "timeout"
    assert hurried.steps() == [("POST ledger /entries", 0, "open")]


# ── a lost lease ──


@pytest.mark.parametrize("swallow", [False, True])
def test_who_lost_the_lease_sends_and_writes_nothing_more(swallow: bool, bench: Bench) -> None:
    """Another worker took the run over between the first call and the second."""
    caught: list[str] = []

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/first")
        await asyncio.to_thread(take_over)
        for work in (lambda: ctx.api("ledger").post("/second"), lambda: ctx.step("mail", print)):
            try:
                await work()
            except Exception as error:
                caught.append(type(error).__name__)
                if not swallow:
                    raise

    def take_over() -> None:
        assert bench.write(runs.sweep, later_s=60) == 1
        [taken] = bench.claim(handler, later_s=60)
        taken_over.append(taken)

    taken_over: list[Any] = []
    bench.put()
    [run] = bench.claim(handler)
    apis = Apis([201])
    verdict = bench.attempt(handler, run, apis)
    assert verdict is LOST or swallow
    assert caught == ["LeaseLost"] * (2 if swallow else 1)
    assert [request.url.path for request in apis.calls] == ["/v1/first"]
    assert bench.steps() == [("POST ledger /first", 0, "done")]
    assert bench.runs("state, token, attempts") == [("running", taken_over[0].token, 2)]


def test_the_one_who_took_over_does_not_send_again_what_the_other_recorded_late(bench: Bench) -> None:
    """The answer comes after the lease is lost: an outcome is a fact, whoever records it."""

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries")

    async def late() -> int:
        await asyncio.to_thread(lambda: bench.write(runs.sweep, later_s=60))
        return 201

    bench.put()
    [run] = bench.claim(handler)
    bench.attempt(handler, run, Apis([late]))
    assert bench.steps() == [("POST ledger /entries", 0, "done")]
    assert bench.runs("state, lapses") == [("waiting", 1)]
    [taken] = bench.claim(handler, later_s=60)
    assert bench.attempt(handler, taken, Apis([])).state == "succeeded"


def test_one_copys_refusal_does_not_settle_what_another_copy_is_in_doubt_about(bench: Bench) -> None:
    """Two copies of one call are under way under one key; the older one is turned away, the younger one's answer is
    lost. Were the step refused now, other bytes would go out under another key, beside what may have taken effect.
    """
    from receiver.http import httpx

    drafts = iter(["a", "a", "b"])

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries", content=next(drafts).encode())

    def overtaken() -> int:
        bench.write(runs.sweep, later_s=60)
        [taken] = bench.claim(handler, later_s=60)
        assert bench.attempt(handler, taken, Apis([httpx.ReadTimeout("")])).code == "upstream"
        return 422

    async def older() -> int:
        return await asyncio.to_thread(overtaken)

    bench.put()
    [run] = bench.claim(handler)
    bench.attempt(handler, run, Apis([older]))
    assert bench.steps("state, sends") == [("open", 2)]
    [last] = bench.claim(handler, later_s=3600)
    apis = Apis([])
    assert bench.attempt(handler, last, apis).code == "step_drift"
    assert apis.calls == []
