"""Calls over several attempts: what is repeated, under which key, and when a person is asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from processors import Context, Event, on
from processors.testing import Delivered, Received, deliver

PAID = "stripe/payment_intent.succeeded"


class Drafts:
    """A handler whose bytes are another author's each time: `Drafts("a", "b")` posts "a" first, then "b"."""

    def __init__(self, *drafts: str, step: str | None = None, method: str = "POST") -> None:
        self._drafts = iter(drafts)

        @on("stripe", "*", name="drafts")
        async def handler(event: Event[Any], ctx: Context) -> None:
            options: Any = {"step": step} if step else {}
            await ctx.api("ledger").request(method, "/entries", content=next(self._drafts).encode(), **options)

        self.handler = handler

    def deliver(self, *answers: Any) -> Delivered:
        return deliver(self.handler, PAID, apis={"ledger": list(answers)})


@pytest.fixture
def no_keys(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream of these tests honours no idempotency key."""
    (tmp_path / "postern.toml").write_text('[apis.ledger]\nbase_url = "https://x.test"\nidempotency_header = ""\n')
    monkeypatch.chdir(tmp_path)


def keys(*results: Delivered) -> list[str | None]:
    return [call.key for result in results for call in result.calls]


def bodies(*results: Delivered) -> list[bytes]:
    return [call.body for result in results for call in result.calls]


# ── a definite refusal ──


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422])
def test_a_handler_repaired_after_a_refusal_sends_the_changed_body_under_a_new_key(status: int) -> None:
    refused = Drafts("wrong", "right").deliver((status, "no"), (201, {}))
    assert refused.state == "parked"
    assert refused.steps["POST ledger /entries"].state == "refused"
    again = refused.again()
    assert (again.state, again.calls[0].body) == ("succeeded", b"right")
    assert again.calls[0].key != refused.calls[0].key


def test_an_unrepaired_handler_sends_the_same_under_the_same_key() -> None:
    refused = Drafts("wrong", "wrong").deliver((422, "no"), (422, "no"))
    assert len({*keys(refused, refused.again())}) == 1


def test_the_reason_shows_what_the_upstream_said() -> None:
    refused = Drafts("wrong").deliver((422, "cents\n   must be\ta number" + "!" * 500))
    assert (refused.state, refused.code) == ("parked", "refused")
    assert refused.reason == ("POST ledger /entries answered 422: cents must be a number" + "!" * 500)[: 35 + 200]


@pytest.mark.parametrize(("status", "code"), [(401, "needs_credentials"), (403, "needs_credentials"), (404, "refused")])
def test_whose_trouble_it_is_shows_in_the_code(status: int, code: str) -> None:
    assert Drafts("a").deliver((status, "")).code == code


# ── an outcome in doubt ──


@pytest.mark.parametrize("doubt", [TimeoutError(), ConnectionResetError(), (500, ""), (502, ""), (504, "")])
def test_in_doubt_the_same_bytes_are_repeated_under_the_same_key(doubt: Any) -> None:
    first = Drafts("a", "a").deliver(doubt, (201, {}))
    assert (first.state, first.steps["POST ledger /entries"].state) == ("waiting", "open")
    again = first.again()
    assert again.state == "succeeded"
    assert len(set(keys(first, again))) == 1


def test_in_doubt_other_bytes_of_an_unnamed_call_have_drifted() -> None:
    drifted = Drafts("a", "b").deliver(TimeoutError()).again()
    assert (drifted.state, drifted.code, drifted.calls) == ("parked", "step_drift", [])
    assert drifted.reason == (
        "POST ledger /entries: an earlier attempt sent other bytes, outcome unknown; name it (step=…) to repeat those"
    )


def test_in_doubt_a_named_call_sends_its_own_stored_bytes() -> None:
    first = Drafts("a", "b", step="entry").deliver(TimeoutError(), (201, {}))
    again = first.again()
    assert (again.state, again.calls[0].body, again.calls[0].key) == ("succeeded", b"a", first.calls[0].key)


TRANSIENT = [ConnectionError(), (401, ""), (403, ""), (408, ""), (409, ""), (425, ""), (429, ""), (503, "")]


@pytest.mark.parametrize("transient", TRANSIENT)
def test_a_doubt_outlives_an_answer_that_says_nothing_of_the_first_copy(transient: Any) -> None:
    """Or else the first copy took effect, and the changed bytes would take effect too, under a key of their own."""
    first = Drafts("a", "a", "b").deliver(TimeoutError(), transient)
    second = first.again()
    assert second.steps["POST ledger /entries"].state == "open"
    third = second.again()
    assert (third.code, third.calls) == ("step_drift", [])


def test_a_doubt_ends_when_the_upstream_refuses_that_very_key() -> None:
    first = Drafts("a", "a", "b").deliver(TimeoutError(), (422, ""), (201, {}))
    second = first.again()
    assert second.steps["POST ledger /entries"].state == "refused"
    third = second.again()
    assert (third.state, third.calls[0].body) == ("succeeded", b"b")


def test_a_conflict_with_the_first_copy_is_waited_out() -> None:
    first = Drafts("a", "a", "a").deliver(TimeoutError(), (409, "in progress"), (201, {}))
    second = first.again()
    assert (second.state, second.code) == ("waiting", "upstream")
    assert second.again().state == "succeeded"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
@pytest.mark.parametrize("doubt", [TimeoutError(), ConnectionResetError(), (500, ""), (502, ""), (504, "")])
@pytest.mark.usefixtures("no_keys")
def test_where_no_key_is_honoured_a_doubt_is_for_a_person(doubt: Any, method: str) -> None:
    first = Drafts("a", "a", method=method).deliver(doubt)
    assert (first.state, first.code) == ("parked", "ambiguous")
    assert first.reason is not None
    assert first.reason.endswith("; it may have taken effect, and this upstream takes no key")
    again = first.again()
    assert (again.code, again.calls) == ("ambiguous", [])
    assert again.reason == f"{method} ledger /entries: it was sent, its answer is unknown, and ledger takes no key"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.usefixtures("no_keys")
def test_where_no_key_is_honoured_an_idempotent_method_is_repeated(method: str) -> None:
    first = Drafts("a", "a", method=method).deliver(TimeoutError(), (200, ""))
    assert (first.state, first.again().state) == ("waiting", "succeeded")
    assert keys(first) == [None]


@pytest.mark.parametrize("harmless", [ConnectionError(), (429, ""), (503, ""), (408, "")])
@pytest.mark.usefixtures("no_keys")
def test_where_no_key_is_honoured_what_had_no_effect_is_repeated(harmless: Any) -> None:
    first = Drafts("a", "a").deliver(harmless, (201, {}))
    assert first.state == "waiting"
    again = first.again()
    assert (again.state, bodies(again)) == ("succeeded", [b"a"])


# ── asked to wait ──


def test_a_short_wait_is_sat_out_in_place() -> None:
    result = Drafts("a").deliver((429, "", {"Retry-After": "0"}), (503, "", {"Retry-After": "0"}), (201, {}))
    assert (result.state, len(result.calls)) == ("succeeded", 3)
    assert len(set(keys(result))) == 1


def test_a_long_wait_ends_the_attempt_and_is_no_failure() -> None:
    result = Drafts("a").deliver((429, "slow down", {"Retry-After": "3600"}))
    assert (result.state, result.code, len(result.calls)) == ("waiting", "rate_limited", 1)
    assert result.reason == "POST ledger /entries answered 429: slow down"


def test_short_waits_are_not_sat_out_for_ever() -> None:
    result = Drafts("a").deliver(*[(429, "", {"Retry-After": "0"})] * 3)
    assert (result.state, result.code, len(result.calls)) == ("waiting", "rate_limited", 3)


def test_in_doubt_a_wait_does_not_end_the_doubt() -> None:
    first = Drafts("a", "a").deliver(TimeoutError(), (429, "", {"Retry-After": "0"}), ConnectionError())
    second = first.again()
    assert (second.state, second.steps["POST ledger /entries"].state) == ("waiting", "open")


def test_reading_waits_and_repeats_too() -> None:
    seen = []

    @on("stripe", "*", name="reader")
    async def read(event: Event[Any], ctx: Context) -> None:
        seen.append((await ctx.api("x").get("/price")).json())

    result = deliver(read, PAID, apis={"x": [(429, "", {"Retry-After": "0"}), (200, 5)]})
    assert (result.state, seen, result.steps) == ("succeeded", [5], {})
    failed = deliver(read, PAID, apis={"x": [(500, "down")]})
    assert (failed.state, failed.code, failed.reason) == ("waiting", "upstream", "GET x /price answered 500: down")
    silent = deliver(read, PAID, apis={"x": [TimeoutError("late")]})
    assert silent.reason == "GET x /price got no answer: ReadError: TimeoutError: late"


# ── an attempt that is over ──


def test_an_attempt_that_has_ended_stays_so_whatever_the_handler_catches() -> None:
    @on("stripe", "*", name="stubborn")
    async def stubborn(event: Event[Any], ctx: Context) -> None:
        for work in (
            lambda: ctx.api("ledger").post("/entries"),
            lambda: ctx.api("ledger").post("/undo"),
            lambda: ctx.api("ledger").get("/look"),
            lambda: ctx.step("mail", print),
            lambda: touch(ctx.key("mine")),
        ):
            try:
                await work()
            except Exception as error:
                caught.append(type(error).__name__)
        raise ValueError("and this is not how it ended")

    async def touch(key: str) -> None:
        raise AssertionError(key)

    caught: list[str] = []
    result = deliver(stubborn, PAID, apis={"ledger": [(422, "no")]})
    assert (result.state, result.code, result.reason) == (
        "parked", "refused", "POST ledger /entries answered 422: no",
    )  # fmt: skip
    assert caught == ["Ended"] * 5
    assert (len(result.calls), list(result.steps)) == (1, ["POST ledger /entries"])


def test_a_function_that_answers_sees_what_the_handler_sent() -> None:
    def answer(call: Received) -> tuple[int, Any]:
        return (201, None) if call.body == b"a" else (400, None)

    assert deliver(Drafts("a").handler, PAID, apis={"ledger": answer}).state == "succeeded"


# ── what the handler did not wait for ──


def test_a_call_that_the_handler_did_not_wait_for_is_recorded_before_the_attempt_ends() -> None:
    left: list[asyncio.Task[Any]] = []

    @on("shop", "*")
    async def hasty(event: Event[Any], ctx: Context) -> None:
        left.append(asyncio.create_task(ctx.api("ledger").post("/entries")))
        await asyncio.sleep(0)

    done = deliver(hasty, {"id": 1}, type="paid", apis={"ledger": [(201, {})]})
    assert (done.state, done.steps["POST ledger /entries"].state) == ("succeeded", "done")


def test_a_repeat_is_judged_by_the_call_that_was_sent_and_goes_nowhere_else() -> None:
    sends: list[Callable[[Context], Any]] = [
        lambda ctx: ctx.api("bank").post("/pay", step="pay"),
        lambda ctx: ctx.api("ledger").post("/pay", step="pay"),
    ]

    @on("shop", "*")
    async def moved(event: Event[Any], ctx: Context) -> None:
        await sends[ctx.attempt - 1](ctx)

    first = deliver(moved, {"id": 1}, type="paid", apis={"bank": [TimeoutError()], "ledger": [(201, {})]})
    second = first.again()
    assert (second.state, second.code) == ("parked", "step_drift")
