"""`deliver`, as the author of a handler uses it."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from processors import Context, Drop, Event, Park, Retry, SyncContext, on
from processors.testing import Delivered, Received, deliver
from receiver.errors import UserError
from receiver.http import httpx

PAID = "stripe/payment_intent.succeeded"


class PaymentIntent(BaseModel):
    id: str
    amount: int
    customer: str | None = None


@on("stripe", "payment_intent.succeeded", name="testing-book")
async def book(event: Event[PaymentIntent], ctx: Context) -> None:
    if event.data.customer is None:
        raise Drop("anonymous payment")
    entry = await ctx.api("ledger").post("/entries", json={"ref": event.data.id, "cents": event.data.amount})
    await ctx.step("receipt", lambda id: f"receipt of {id}", entry.json()["id"])


@on("github", "pull_request.*", name="testing-notify")
def notify(event: Event[dict[str, Any]], ctx: SyncContext) -> None:
    ctx.api("chat").post("/messages", json={"text": event.data["pull_request"]["title"]})


@on("stripe", "payment_intent.succeeded", name="testing-twice")
async def twice(event: Event[Any], ctx: Context) -> None:
    await ctx.api("ledger").post("/first", json={"ref": event.external_id})
    await ctx.api("ledger").post("/second", json={"ref": event.external_id})


def test_an_async_handler_runs_on_a_shipped_fixture() -> None:
    result = deliver(book, PAID, apis={"ledger": [(201, {"id": "entry_1"})]})
    assert (result.state, result.code, result.reason) == ("succeeded", None, None)
    [call] = result.calls
    fixture = json.loads((Path(__file__).parents[2] / "fixtures" / f"{PAID}.json").read_text())
    payment = fixture["data"]["object"]
    assert (call.method, call.path) == ("POST", "/entries")
    assert call.json() == json.loads(call.body) == {"ref": payment["id"], "cents": payment["amount"]}
    assert call.headers["Idempotency-Key"] == call.key
    assert call.headers["X-Correlation-Id"].startswith("ev_")
    assert {name: (step.state, step.result) for name, step in result.steps.items()} == {
        "POST ledger /entries": ("done", {"id": "entry_1"}),
        "receipt": ("done", "receipt of entry_1"),
    }
    assert result.steps["POST ledger /entries"].key == call.key
    assert result.steps["POST ledger /entries"].status == 201


def test_a_plain_handler_runs_on_a_shipped_fixture() -> None:
    result = deliver(notify, "github/pull_request.opened", apis={"chat": [(200, "ok")]})
    assert result.state == "succeeded"
    assert result.calls[0].json()["text"]
    assert result.steps["POST chat /messages"].result == "ok"


def test_a_variant_of_a_fixture_is_of_the_same_type() -> None:
    result = deliver(book, f"{PAID}__anonymous")
    assert (result.state, result.reason, result.calls, result.steps) == ("dropped", "anonymous payment", [], {})


def test_a_dict_is_a_body_for_the_first_type_that_the_handler_names() -> None:
    @on("stripe", "invoice.*", "payment_intent.succeeded")
    async def tell(event: Event[Any], ctx: Context) -> None:
        raise Park(f"{event.source} {event.type} {event.data} {event.payload}")

    result = deliver(tell, {"data": {"object": {"id": "pi_1"}}})
    assert result.reason == "stripe payment_intent.succeeded {'id': 'pi_1'} {'data': {'object': {'id': 'pi_1'}}}"
    assert deliver(tell, {"type": "invoice.paid", "data": 1}).reason == (
        "stripe invoice.paid {'type': 'invoice.paid', 'data': 1} {'type': 'invoice.paid', 'data': 1}"
    )


def test_source_and_type_may_be_said() -> None:
    @on("*", "invoice.*")
    async def tell(event: Event[Any], ctx: Context) -> None:
        raise Park(f"{event.source} {event.type} {event.data}")

    assert deliver(tell, {"data": 1}, source="acme", type="invoice.paid").reason == "acme invoice.paid {'data': 1}"


def test_a_dict_for_a_handler_of_any_source_must_say_which() -> None:
    @on("*", "paid")
    async def tell(event: Event[Any], ctx: Context) -> None: ...

    with pytest.raises(LookupError, match="say source="):
        deliver(tell, {})


def test_a_private_vendor_needs_no_configuration() -> None:
    @on("acme", "order.created")
    async def tell(event: Event[dict[str, int]], ctx: Context) -> None:
        raise Park(f"{event.data['total']} {event.type}")

    assert deliver(tell, {"total": 3}).reason == "3 order.created"


def test_a_path_is_a_fixture(tmp_path: Path) -> None:
    file = tmp_path / "my payment.json"
    file.write_text('{"type": "payment_intent.succeeded", "data": {"object": {"id": "pi_9", "amount": 1}}}')
    assert deliver(book, file).reason == "anonymous payment"
    assert deliver(book, str(file)).reason == "anonymous payment"


def test_headers_are_those_that_the_vendor_sends() -> None:
    @on("github", "pull_request.opened")
    async def tell(event: Event[Any], ctx: Context) -> None:
        raise Park(event.headers["x-github-event"] + " " + event.external_id)

    reason = deliver(tell, "github/pull_request.opened").reason
    assert reason is not None
    assert reason.startswith("pull_request ")
    assert deliver(tell, "github/pull_request.opened").reason == reason  # the id belongs to the fixture


def test_a_fixture_that_the_handler_does_not_ask_for_is_an_error() -> None:
    with pytest.raises(LookupError) as caught:
        deliver(book, "stripe/invoice.paid")
    assert caught.value.args == (
        "the handler 'testing-book' does not take stripe/invoice.paid: it asks for stripe/payment_intent.succeeded",
    )
    with pytest.raises(LookupError, match="does not take github/push"):
        deliver(book, "github/push")


def test_a_fixture_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"stripe/payment_intent\.succeeded"):
        deliver(book, "stripe/payment_intent.succeded")


def test_a_function_that_is_no_handler_is_an_error() -> None:
    async def plain(event: Event[Any], ctx: Context) -> None: ...

    with pytest.raises(TypeError, match="is not a handler"):
        deliver(plain, PAID)


@pytest.mark.parametrize(
    ("raised", "state", "code", "reason"),
    [
        (Drop("seen before"), "dropped", None, "seen before"),
        (Drop(), "dropped", None, None),
        (Park("look at this"), "parked", "asked", "look at this"),
        (Park(), "parked", "asked", "the handler asked for a person"),
        (Retry(after=60), "waiting", "retry_asked", "the handler asked to be called again"),
    ],
)
def test_a_handler_steers_its_run(raised: Exception, state: str, code: str | None, reason: str | None) -> None:
    @on("stripe", "payment_intent.succeeded")
    async def steer(event: Event[Any], ctx: Context) -> None:
        raise raised

    @on("stripe", "payment_intent.succeeded")
    def steer_plainly(event: Event[Any], ctx: SyncContext) -> None:
        raise raised

    for handler in (steer, steer_plainly):
        result = deliver(handler, PAID)
        assert (result.state, result.code, result.reason) == (state, code, reason)


def test_any_other_exception_is_a_failure_with_the_line_it_came_from() -> None:
    @on("stripe", "payment_intent.succeeded")
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise KeyError("customer")

    result = deliver(fail, PAID)
    line = fail.__code__.co_firstlineno + 2
    assert (result.state, result.code, result.reason) == (
        "waiting", "exception", f"KeyError: 'customer' at {__file__}:{line}",
    )  # fmt: skip


def test_data_that_does_not_fit_is_parked_and_says_where() -> None:
    result = deliver(book, {"data": {"object": {"id": 5}}})
    assert (result.state, result.code) == ("parked", "schema_error")
    assert result.reason == (
        "the event's data does not fit PaymentIntent: id: Input should be a valid string; amount: Field required"
    )


def test_attempts_go_on_until_the_failures_are_used_up() -> None:
    attempts = []

    @on("stripe", "payment_intent.succeeded")
    async def fail(event: Event[Any], ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("no")

    result = deliver(fail, PAID)
    while result.state == "waiting":
        result = result.again()
    assert (result.state, result.code) == ("parked", "failures_exhausted")
    assert attempts == list(range(1, 13))


# ── upstreams ──


def test_answers_are_used_one_by_one_over_all_attempts() -> None:
    result = deliver(twice, PAID, apis={"ledger": [(201, {}), (500, "down"), (201, {})]})
    assert (result.state, result.code, result.reason) == (
        "waiting", "upstream", "POST ledger /second answered 500: down",
    )  # fmt: skip
    again = result.again()
    assert again.state == "succeeded"
    assert [call.path for call in again.calls] == ["/second"]
    assert again.calls[0].key == result.calls[1].key


def test_an_answer_may_be_a_function_of_the_call() -> None:
    def answer(call: Received) -> tuple[int, Any]:
        return (201, {"id": call.json()["ref"]}) if call.path == "/entries" else (404, None)

    result = deliver(book, PAID, apis={"ledger": answer})
    assert result.steps["receipt"].result == f"receipt of {result.calls[0].json()['ref']}"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"a": 1}, b'{"a":1}'),
        ([1], b"[1]"),
        ("text", b"text"),
        (b"\xff", b"\xff"),
        (None, b""),
        ("", b""),
        (7, b"7"),
    ],
)
def test_a_body_is_json_text_or_bytes(body: Any, sent: bytes) -> None:
    seen = []

    @on("stripe", "payment_intent.succeeded")
    async def look(event: Event[Any], ctx: Context) -> None:
        seen.append((await ctx.api("x").get("/")).body)

    assert deliver(look, PAID, apis={"x": [(200, body)]}).state == "succeeded"
    assert seen == [sent]


def test_an_answer_may_have_headers() -> None:
    result = deliver(twice, PAID, apis={"ledger": [(429, "", {"Retry-After": "60"})]})
    assert (result.state, result.code, result.reason) == ("waiting", "rate_limited", "POST ledger /first answered 429")


@pytest.mark.parametrize("refused", [ConnectionError("no"), ConnectionRefusedError(), httpx.ConnectError("no")])
def test_a_connection_error_means_that_nothing_was_sent(refused: Exception) -> None:
    result = deliver(twice, PAID, apis={"ledger": [refused, (201, {}), (201, {})]})
    assert (result.state, result.code) == ("waiting", "upstream")
    assert result.steps["POST ledger /first"].state == "refused"
    assert result.again().state == "succeeded"


@pytest.mark.parametrize(
    "lost", [TimeoutError(), ConnectionResetError(), BrokenPipeError(), httpx.ReadTimeout(""), OSError("odd")]
)
def test_any_other_trouble_means_that_the_answer_got_lost(lost: Exception) -> None:
    result = deliver(twice, PAID, apis={"ledger": [lost, (201, {}), (201, {})]})
    assert (result.state, result.code) == ("waiting", "upstream")
    assert result.steps["POST ledger /first"].state == "open"
    again = result.again()
    assert again.state == "succeeded"
    assert again.calls[0].key == result.calls[0].key


def test_a_function_may_raise_what_a_network_does() -> None:
    def answer(call: Received) -> tuple[int, Any]:
        raise TimeoutError

    assert deliver(twice, PAID, apis={"ledger": answer}).code == "upstream"


def test_a_function_that_fails_is_the_tests_own_failure() -> None:
    def answer(call: Received) -> tuple[int, Any]:
        assert call.path == "/other"
        return 200, None

    with pytest.raises(AssertionError, match="/other"):
        deliver(twice, PAID, apis={"ledger": answer})


@on("stripe", "payment_intent.succeeded", name="testing-swallow")
async def swallow(event: Event[Any], ctx: Context) -> None:
    try:
        await ctx.api("ledger").post("/entries", json={})
    except Exception:
        await ctx.api("ledger").post("/undo", json={})


@on("stripe", "payment_intent.succeeded", name="testing-swallow-plainly")
def swallow_plainly(event: Event[Any], ctx: SyncContext) -> None:
    try:
        ctx.api("ledger").post("/entries", json={})
    except BaseException:
        ctx.api("ledger").post("/undo", json={})


@pytest.mark.parametrize("handler", [swallow, swallow_plainly])
def test_a_call_to_an_api_that_is_not_given_reaches_the_test(handler: Any) -> None:
    with pytest.raises(LookupError) as caught:
        deliver(handler, PAID, apis={"bank": [], "chat": []})
    assert caught.value.args == ("the handler called POST /entries of 'ledger', and apis has 'bank', 'chat'",)


@pytest.mark.parametrize("handler", [swallow, swallow_plainly])
def test_answers_that_run_out_reach_the_test(handler: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        deliver(handler, PAID, apis={"ledger": []})
    assert caught.value.args == ("POST /entries is call 1 of 'ledger', and apis['ledger'] has answers for 0",)


def test_an_api_that_is_opened_and_not_called_needs_no_answers() -> None:
    @on("stripe", "payment_intent.succeeded")
    async def idle(event: Event[Any], ctx: Context) -> None:
        ctx.api("ledger")

    assert deliver(idle, PAID).state == "succeeded"


@pytest.mark.parametrize("answer", [200, (200,), "ok", None, ("200", ""), (200, "", 5)])
def test_what_is_no_answer_is_the_tests_own_failure(answer: Any) -> None:
    with pytest.raises(TypeError, match=r"an answer is \(status, body\) or an exception"):
        deliver(twice, PAID, apis={"ledger": [answer]})


def test_one_answer_without_a_list_is_an_error() -> None:
    with pytest.raises(TypeError, match="must be a list of answers"):
        deliver(twice, PAID, apis={"ledger": (201, {})})  # type: ignore[dict-item]


# ── crashes ──


def test_a_crash_leaves_the_call_in_doubt_and_the_next_attempt_repeats_it_under_its_key() -> None:
    effects = []

    def answer(call: Received) -> tuple[int, Any]:
        effects.append(call.key)
        return 201, {"id": "entry_1"}

    crashed = deliver(book, PAID, apis={"ledger": answer}, crash_after=1)
    assert (crashed.state, crashed.code, crashed.reason) == ("running", None, None)
    assert crashed.steps["POST ledger /entries"].state == "open"
    again = crashed.again()
    assert again.state == "succeeded"
    assert effects == [crashed.calls[0].key] * 2
    assert again.calls[0].body == crashed.calls[0].body


def test_of_two_calls_the_first_is_not_sent_again_and_the_second_carries_its_key() -> None:
    crashed = deliver(twice, PAID, apis={"ledger": lambda call: (201, {})}, crash_after=2)
    assert [call.path for call in crashed.calls] == ["/first", "/second"]
    again = crashed.again()
    assert [call.path for call in again.calls] == ["/second"]
    assert again.calls[0].key == crashed.calls[1].key != crashed.calls[0].key
    assert again.state == "succeeded"


def test_a_handler_that_dies_at_every_call_gets_through_all_the_same() -> None:
    result = deliver(twice, PAID, apis={"ledger": lambda call: (201, {})}, crash_after=1)
    keys = [call.key for call in result.calls]
    while result.state == "running":
        result = result.again(crash_after=2)
        keys += [call.key for call in result.calls]
    assert result.state == "succeeded"
    assert len(set(keys)) == 2


@pytest.mark.parametrize("handler", [swallow, swallow_plainly])
def test_after_a_crash_the_handler_does_nothing_more(handler: Any) -> None:
    crashed = deliver(handler, PAID, apis={"ledger": lambda call: (201, {})}, crash_after=1)
    assert (crashed.state, len(crashed.calls), list(crashed.steps)) == ("running", 1, ["POST ledger /entries"])


def test_a_crash_that_no_call_comes_to_does_not_happen() -> None:
    assert deliver(twice, PAID, apis={"ledger": lambda call: (201, {})}, crash_after=3).state == "succeeded"


def test_a_call_that_was_never_sent_is_no_effect_to_crash_after() -> None:
    result = deliver(twice, PAID, apis={"ledger": [ConnectionError()]}, crash_after=1)
    assert result.state == "waiting"


def test_again_after_success_sends_nothing() -> None:
    again = deliver(book, PAID, apis={"ledger": [(201, {"id": "entry_1"})]}).again()
    assert (again.state, again.calls) == ("succeeded", [])


def test_attempts_of_one_event_are_numbered() -> None:
    numbers = []

    @on("stripe", "payment_intent.succeeded")
    def count(event: Event[Any], ctx: SyncContext) -> None:
        numbers.append((event.id, ctx.attempt, ctx.key("x")))

    deliver(count, PAID).again().again()
    assert [attempt for _, attempt, _ in numbers] == [1, 2, 3]
    assert len({(id, key) for id, _, key in numbers}) == 1


# ── the project's configuration ──


def test_an_upstream_that_takes_no_keys_is_ambiguous_as_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "postern.toml").write_text(
        '[apis.ledger]\nbase_url = "https://x.test/v1"\nidempotency_header = ""\n'
        'auth = {type = "bearer", token = "env:NOT_SET"}\n'
    )
    monkeypatch.chdir(tmp_path)
    result = deliver(twice, PAID, apis={"ledger": [TimeoutError()]})
    assert (result.state, result.code, result.calls[0].key, result.calls[0].path) == (
        "parked", "ambiguous", None, "/first",
    )  # fmt: skip
    crashed = deliver(twice, PAID, apis={"ledger": [(201, {})]}, crash_after=1)
    assert (crashed.again().code, crashed.again().calls) == ("ambiguous", [])


def test_another_idempotency_header_is_the_one_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postern.toml").write_text(
        '[apis.ledger]\nbase_url = "https://x.test"\nidempotency_header = "X-Once"\n'
    )
    monkeypatch.chdir(tmp_path)
    call = deliver(twice, PAID, apis={"ledger": [(201, {}), (201, {})]}).calls[0]
    assert call.key == call.headers["x-once"]
    assert "idempotency-key" not in call.headers


def test_a_configured_source_is_read_as_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postern.toml").write_text(
        '[sources.acme]\nscheme = "hmac"\nsignature = "header:X-S"\ntype = "body:kind"\ndata = "body:thing"\n'
        'items = "body:all[*]"\n[sources.pay]\npreset = "stripe"\n'
    )
    folder = tmp_path / "fixtures" / "acme"
    folder.mkdir(parents=True)
    (folder / "many.json").write_text('{"all": [{"kind": "other"}, {"kind": "order", "thing": 5}]}')
    monkeypatch.chdir(tmp_path)

    @on("acme", "order")
    async def batch(event: Event[int], ctx: Context) -> None:
        raise Park(f"{event.data} {event.type} {event.payload}")

    @on("pay", "payment_intent.succeeded")
    async def paid(event: Event[PaymentIntent], ctx: Context) -> None:
        raise Park(event.source)

    assert deliver(batch, "acme/many").reason == "5 order {'kind': 'order', 'thing': 5}"
    assert deliver(paid, PAID).reason == "pay"
    assert deliver(paid, "pay/payment_intent.succeeded").reason == "pay"


# ── what it leaves behind ──


def test_it_is_quick_and_leaves_no_thread_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    deliver(notify, "github/pull_request.opened", apis={"chat": [(200, "")]})
    threads = threading.active_count()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        kept = deliver(notify, "github/pull_request.opened", apis={"chat": [(200, "")]})
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []
    assert kept.again().state == "succeeded"


def test_it_works_inside_a_running_loop() -> None:
    async def test() -> Delivered:
        return deliver(book, PAID, apis={"ledger": [(201, {"id": "entry_1"})]})

    assert asyncio.run(test()).state == "succeeded"
