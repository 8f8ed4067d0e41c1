"""`postern send`, against a real Postern over a real socket: what it posts, what it tells, and its exit code."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli.outgoing import new_id, with_values
from receiver.errors import UserError
from receiver.fixture import find_fixture, fixture_names
from receiver.http import httpx
from receiver.settings import load
from receiver.store import open_store, reads
from tests.receiver.cli.conftest import PRESETS, REPOSITORY, Ended, Serving
from tests.support.until import until

Typed = Callable[..., Ended]
Serve = Callable[..., Serving]
UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture
def send(serving: Serving, typed: Typed) -> Callable[..., Ended]:
    """`postern send …`, typed in the folder of the project that is served."""
    return lambda *arguments, **options: typed(serving.folder, "send", *arguments, **options)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that nobody serves."""
    (tmp_path / "postern.toml").write_text('[sources.stripe]\npreset = "stripe"\nsecrets = ["literal:x"]\n')
    return tmp_path


def shipped(name: str) -> bytes:
    return (REPOSITORY / "fixtures" / f"{name}.json").read_bytes()


def stored(folder: Path, event_id: str) -> tuple[reads.EventRow, bytes]:
    store = open_store(load(folder / "postern.toml", {}).store.url)
    try:
        with store.reading() as session:
            number = reads.find_event(session, event_id)
            assert number is not None
            return reads.event(session, number), reads.delivery(session, number)[1]
    finally:
        store.close()


# ── what is posted ──


# Those of the presets that the project has: what the others sign is verified in tests/vendors.
OF_THE_PROJECT = [name for name in fixture_names(REPOSITORY, {}) if name.partition("/")[0] in (*PRESETS, "hmac")]


@pytest.mark.parametrize("name", [name for name in OF_THE_PROJECT if "url_verification" not in name])
def test_every_shipped_fixture_arrives_with_its_exact_bytes_and_type(
    name: str, send: Callable[..., Ended], serving: Serving
) -> None:
    ended = send(name, "--json")
    assert (ended.code, ended.err) == (0, "")
    [row] = ended.rows
    event, body = stored(serving.folder, row["id"])
    assert body == shipped(name)
    assert (event.source, event.type) == (row["source"], row["type"])
    assert event.source == name.partition("/")[0].replace("hmac", "acme")
    assert event.type == name.partition("/")[2].partition("__")[0]


def test_a_second_time_it_is_a_duplicate_and_says_so(send: Callable[..., Ended]) -> None:
    [first] = send("stripe/charge.refunded", "--json").rows
    ended = send("stripe/charge.refunded")
    said = f"stripe/charge.refunded  200 duplicate  {first['id']}  (stored before; --new makes it a new event)\n"
    assert (ended.code, ended.out, ended.err) == (0, said, "")


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("github/push", "38a44ab8-476a-5fe5-9289-19889f2e0f3f"),
        ("shopify/orders/paid", "14d53b91-4330-5e4c-a623-428fc21123d9"),
        ("standardwebhooks/user.created", "msg_3c727e22bb885236963733b3049a3c82"),
    ],
)
def test_the_id_of_a_fixture_never_changes(name: str, id: str) -> None:
    fixture = find_fixture(name, REPOSITORY, {})
    assert fixture.header_id(fixture.folder) == id


@pytest.mark.parametrize("name", ["github/ping", "shopify/app/uninstalled", "standardwebhooks/user.deleted"])
def test_where_the_id_is_in_a_header_new_changes_no_byte(
    name: str, send: Callable[..., Ended], serving: Serving
) -> None:
    rows = send(name, "--new", "--times", "2", "--json").rows
    assert [row["status"] for row in rows] == ["accepted", "accepted"]
    assert [stored(serving.folder, row["id"])[1] for row in rows] == [shipped(name)] * 2


@pytest.mark.parametrize(
    ("name", "key"), [("stripe/invoice.paid", "id"), ("slack/message", "event_id"), ("acme/stock.low", "id")]
)
def test_where_the_id_is_in_the_body_new_changes_it_and_no_other_byte(
    name: str, key: str, send: Callable[..., Ended], serving: Serving
) -> None:
    [row] = send(name, "--new", "--json").rows
    event, body = stored(serving.folder, row["id"])
    before = shipped(name.replace("acme", "hmac"))
    assert row["status"] == "accepted"
    assert event.external_id == json.loads(body)[key] != json.loads(before)[key]
    assert body.replace(event.external_id.encode(), json.loads(before)[key].encode()) == before


def test_times_sends_the_same_again_and_again(send: Callable[..., Ended]) -> None:
    ended = send("slack/app_home_opened", "--times", "3", "--json")
    assert (ended.code, len({row["id"] for row in ended.rows})) == (0, 1)
    assert [row["status"] for row in ended.rows][1:] == ["duplicate", "duplicate"]


def test_set_puts_values_into_the_body(send: Callable[..., Ended], serving: Serving) -> None:
    changes = ["data.object.amount=7", "data.object.metadata.note=seven", "data.object.lines.data[0].quantity=2"]
    options = [text for change in changes for text in ("--set", change)]
    [row] = send("stripe/invoice.paid", "--new", "--json", *options).rows
    changed = json.loads(stored(serving.folder, row["id"])[1])["data"]["object"]
    assert (changed["amount"], changed["metadata"]["note"], changed["lines"]["data"][0]["quantity"]) == (7, "seven", 2)


def test_set_without_new_is_still_the_same_event(send: Callable[..., Ended]) -> None:
    send("github/issues.opened")
    [row] = send("github/issues.opened", "--set", "action=closed", "--json").rows
    assert (row["status"], row["type"]) == ("duplicate", "issues.opened")


def test_a_fixture_of_ones_own_goes_before_a_shipped_one(send: Callable[..., Ended], serving: Serving) -> None:
    own = serving.folder / "fixtures" / "github" / "release.published__mine.json"
    own.write_bytes(b'{"action":"published"}')
    [by_name] = send("github/release.published__mine", "--json").rows
    [by_path] = send("fixtures/github/release.published__mine.json", "--json").rows
    assert by_name["id"] == by_path["id"]
    event, body = stored(serving.folder, by_name["id"])
    assert (event.type, body) == ("release.published", own.read_bytes())


def test_a_file_of_no_known_source_needs_to_be_told_one(send: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(b'{"id":"evt_odd","type":"odd.one"}')
    refused = send(str(tmp_path / "odd.json"))
    assert (refused.code, "Add --source stripe or github or" in refused.err) == (1, True)
    assert send(str(tmp_path / "odd.json"), "--source", "stripe").code == 0


def test_a_handshake_prints_what_was_echoed(send: Callable[..., Ended]) -> None:
    challenge = json.loads(shipped("slack/url_verification"))["challenge"]
    ended = send("slack/url_verification", "--new", "--wait")
    assert (ended.code, ended.out) == (0, f"slack/url_verification  200 handshake  {challenge}\n")


def test_a_handshake_that_is_malformed_is_refused_as_one(send: Callable[..., Ended]) -> None:
    ended = send("slack/url_verification", "--set", "challenge=1.5")
    assert ended.code == 1
    assert ended.out.startswith("slack/url_verification  400 handshake_malformed  ")


def test_a_source_may_be_called_otherwise_than_its_preset(tmp_path: Path, serve: Serve, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text('[sources.pay]\npreset = "stripe"\nsecrets = ["literal:x"]\n')
    serve(tmp_path).listening()
    rows = typed(tmp_path, "send", "pay/invoice.paid", "stripe/invoice.paid", "--json").rows
    assert [(row["source"], row["status"]) for row in rows] == [("pay", "accepted"), ("pay", "duplicate")]


def test_several_sources_of_one_preset_make_it_ask(project: Path, typed: Typed) -> None:
    (project / "postern.toml").write_text('[sources.a]\npreset = "stripe"\n[sources.b]\npreset = "stripe"\n')
    ended = typed(project, "send", "stripe/invoice.paid")
    assert ended.err == "postern: stripe/invoice.paid fits several sources\n  Add --source a or b\n"


# ── where to ──


@pytest.mark.parametrize("path", ["", "/", "/webhooks/github"])
def test_to_is_a_base_or_a_full_address(path: str, send: Callable[..., Ended], serving: Serving) -> None:
    [row] = send("github/push", "--to", serving.url + path, "--json").rows
    assert (row["url"], row["http_status"]) == (f"{serving.url}/webhooks/github", 200)


def test_without_to_it_finds_the_one_that_lives(send: Callable[..., Ended], serving: Serving) -> None:
    [row] = send("github/push", "--json").rows
    assert row["url"] == f"{serving.url}/webhooks/github"


def test_when_none_lives_it_takes_the_configured_address(project: Path, typed: Typed) -> None:
    with (project / "postern.toml").open("a") as file:
        file.write('[server]\nhost = "0.0.0.0"\nport = 1\n')
    ended = typed(project, "send", "stripe/invoice.paid")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"postern: nothing answers at {UNREACHABLE}/webhooks/stripe: Connection refused\n"
        "  Type postern serve in another terminal, or name its address: --to URL\n"
    )


# ── what becomes of it ──


@pytest.mark.parametrize(
    "name",
    ["stripe/payment_intent.succeeded", "stripe/payment_intent.succeeded__anonymous", "github/pull_request.opened",
     "shopify/orders/create", "slack/app_mention", "standardwebhooks/invoice.paid", "acme/order.created"],
)  # fmt: skip
def test_the_handlers_of_a_new_project_finish(name: str, send: Callable[..., Ended]) -> None:
    ended = send(name, "--new", "--wait")
    assert (ended.code, ended.err) == (0, "")
    answer, end = ended.out.splitlines()
    id = end.removesuffix("  done")
    assert answer == f"{name}  200 accepted  {id}  waiting for its handlers"


def test_the_answer_is_told_before_the_wait(
    send: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr("receiver.cli.send._follow", lambda *_: told.append(capsys.readouterr().out))
    assert send("github/push", "--wait").out == ""  # nothing became of it: it was not followed
    assert [line.endswith("  waiting for its handlers\n") for line in told] == [True]


def test_an_event_without_a_handler_is_no_success(send: Callable[..., Ended]) -> None:
    ended = send("stripe/customer.subscription.updated", "--new", "--wait", "--json")
    [row] = ended.rows
    assert (ended.code, row["event_status"]) == (1, "unhandled")
    assert ended.err == (
        "postern: no handler takes customer.subscription.updated of stripe\n"
        '  Add @on("stripe", "customer.subscription.updated"), restart, '
        f"and type postern replay event {row['id']}\n"
    )


def test_an_event_that_needs_a_person_is_no_success(send: Callable[..., Ended]) -> None:
    ended = send("acme/order.created", "--new", "--wait", "--set", "data.total=[]", "--json")
    [row] = ended.rows
    assert (ended.code, row["event_status"], row["code"]) == (1, "attention", "schema_error")
    assert ended.err == (
        f"postern: {row['id']} is attention, not done: schema_error\n  Type postern events explain {row['id']}\n"
    )


def test_it_does_not_wait_for_what_will_not_happen_soon(tmp_path: Path, serve: Serve, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text(
        '[sources.stripe]\npreset = "stripe"\nsecrets = ["literal:x"]\n[handlers]\nmodules = ["later"]\n'
    )
    (tmp_path / "later.py").write_text(
        "from processors import Context, Event, Retry, on\n\n\n"
        '@on("stripe")\nasync def later(event: Event[object], ctx: Context) -> None:\n    raise Retry(after=3600)\n'
    )
    serve(tmp_path).listening()
    ended = typed(tmp_path, "send", "stripe/invoice.paid", "--wait", "--json")
    assert (ended.code, ended.rows[0]["event_status"]) == (1, "pending")


@pytest.mark.parametrize(
    ("queue", "handlers", "said"),
    [
        ('[queue]\nurl = "redis://127.0.0.1:1/0"\n', "", "no worker is running\n  Type postern worker\n"),
        ("", "import not_there\n", "the worker does nothing: the handler module 'later' does not import"),
    ],
)
def test_it_says_once_that_nobody_works_and_waits_on(
    tmp_path: Path, serve: Serve, typed: Typed, monkeypatch: pytest.MonkeyPatch, queue: str, handlers: str, said: str
) -> None:
    monkeypatch.setattr("receiver.cli.send.WAIT_S", 1.0)
    monkeypatch.setattr("receiver.cli.send.IDLE_S", 0.2)
    config = '[sources.stripe]\npreset = "stripe"\nsecrets = ["literal:x"]\n[handlers]\nmodules = ["later"]\n'
    (tmp_path / "postern.toml").write_text(config + queue)
    (tmp_path / "later.py").write_text(handlers)
    url = serve(tmp_path).listening()
    until(lambda: httpx.get(f"{url}/readyz").json()["worker"] != "starting")
    ended = typed(tmp_path, "send", "stripe/invoice.paid", "--wait", "--times", "2")
    assert ended.code == 1
    assert ended.err.startswith(f"postern: {said}")
    assert ended.err.count(said.partition("\n")[0]) == 1
    assert ended.err.count("is pending, not done") == 2


def test_wait_needs_the_store_of_the_receiver(project: Path, typed: Typed) -> None:
    ended = typed(project, "send", "stripe/invoice.paid", "--wait", "--to", UNREACHABLE)
    assert ended.code == 1
    assert ended.err == (
        f"postern: there is no store yet\n  at {project}/postern.db\n"
        "  Type postern serve in another terminal: it makes one. Or type postern db upgrade\n"
    )


# ── what goes wrong ──


def test_a_refused_delivery_names_the_cause_and_what_to_type(send: Callable[..., Ended]) -> None:
    ended = send("stripe/invoice.paid", environ={"STRIPE_WEBHOOK_SECRET": "whsec_another"})
    assert (ended.code, ended.out) == (
        1, "stripe/invoice.paid  401 signature_mismatch  the signature of this request was not accepted\n",
    )  # fmt: skip
    assert ended.err == (
        "postern: stripe/invoice.paid was refused with 401, signature_mismatch\n"
        "  Restart postern serve if the secret is new, or type postern rejections list --source stripe\n"
    )


def test_a_source_that_the_receiver_does_not_know_is_told(project: Path, serving: Serving, typed: Typed) -> None:
    (project / "postern.toml").write_text('[sources.new]\npreset = "stripe"\nsecrets = ["literal:x"]\n')
    ended = typed(project, "send", "new/invoice.paid", "--to", serving.url)
    assert ended.code == 1
    assert ended.err == (
        "postern: new/invoice.paid was refused with 404, unknown_source\n"
        "  Restart postern serve if [sources.new] is new\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["stripe/invoice.piad"],
            1,
            "there is no fixture 'stripe/invoice.piad', neither in {folder}/fixtures nor among those shipped\n"
            "  Did you mean stripe/invoice.paid?",
        ),
        (
            ["strpe/x"],
            1,
            "there is no fixture 'strpe/x', neither in {folder}/fixtures nor among those shipped\n  There are stripe/…",
        ),
        (
            ["github/push"],
            1,
            "there is no source for github/push\n  at {folder}/postern.toml\n  Add [sources.github] to it",
        ),
        (
            ["stripe/invoice.paid", "--source", "strip"],
            1,
            "there is no source 'strip'\n  at --source\n  Add --source stripe",
        ),
        (
            ["stripe/invoice.paid", "--to", "x"],
            2,
            "'x' is not an address\n  at --to\n  Write it like http://127.0.0.1:8000",
        ),
        (
            ["stripe/invoice.paid", "--set", "amount"],
            2,
            "'amount' does not say what to set\n  at --set\n"
            "  Write it like data.object.amount=500 or lines[0].sku=LQ-30",
        ),
        (["stripe/invoice.paid", "--set", "data[3]=1"], 1, "the fixture has no place for data[3]\n  at --set"),
    ],
)
def test_what_cannot_be_sent_is_told_in_three_lines(
    arguments: list[str], code: int, said: str, project: Path, typed: Typed
) -> None:
    ended = typed(project, "send", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == f"postern: {said.format(folder=project)}\n"


def test_a_missing_secret_is_named(project: Path, typed: Typed) -> None:
    (project / "postern.toml").write_text('[sources.stripe]\npreset = "stripe"\nsecrets = ["env:STRIPE_SECRET"]\n')
    ended = typed(project, "send", "stripe/invoice.paid")
    assert (ended.code, ended.err.splitlines()[:2]) == (
        1, ["postern: the variable STRIPE_SECRET is not set", "  at [sources.stripe] secrets[0]"],
    )  # fmt: skip


def test_a_source_without_a_secret_cannot_send(project: Path, typed: Typed) -> None:
    (project / "postern.toml").write_text('[sources.stripe]\npreset = "stripe"\n')
    ended = typed(project, "send", "stripe/invoice.paid")
    assert ended.err == (
        "postern: the source stripe has no secret to sign with\n"
        "  at [sources.stripe] secrets\n"
        '  Add secrets = ["env:NAME"]\n'
    )


def test_a_secret_that_has_ended_signs_nothing(project: Path, typed: Typed) -> None:
    ended_key = '{ref = "literal:x", not_after = 2020-01-01T00:00:00Z}'
    (project / "postern.toml").write_text(f'[sources.stripe]\npreset = "stripe"\nsecrets = [{ended_key}]\n')
    ended = typed(project, "send", "stripe/invoice.paid")
    assert ended.err.startswith("postern: the source stripe has no secret to sign with\n")


@pytest.mark.parametrize(
    ("fixture", "keys", "said"),
    [
        (
            "discord/ENTITLEMENT_CREATE", f'public_keys = ["literal:{"aa" * 32}"]',
            "literal:… is a public key, which signs nothing",
        ),
        (
            "plaid/TRANSACTIONS.SYNC_UPDATES_AVAILABLE", 'secrets = ["literal:sandbox:0123456789ab:0123456789ab"]',
            "literal:… is no private key, and nothing else signs here",
        ),
        (
            "paypal/PAYMENT.CAPTURE.COMPLETED", 'webhook_id = "8PT597110X687430L"',
            "the source paypal has no secret to sign with",
        ),
    ],
)  # fmt: skip
def test_what_only_the_vendor_can_sign_says_what_else_would_do(
    fixture: str, keys: str, said: str, project: Path, typed: Typed
) -> None:
    name = fixture.partition("/")[0]
    (project / "postern.toml").write_text(f'[sources.{name}]\npreset = "{name}"\n{keys}\n')
    ended = typed(project, "send", fixture)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"postern: {said}\n  at [sources.{name}] secrets\n  ")
    assert "a private key of your own" in ended.err
    assert ended.err.count("\n") == 3


def test_a_field_of_a_form_is_set_and_no_other_is_made() -> None:
    form = b"MessageSid=SM1&MessageStatus=sent&To=%2B1555"
    assert with_values(form, ["MessageStatus=delivered"]) == b"MessageSid=SM1&MessageStatus=delivered&To=%2B1555"
    with pytest.raises(UserError, match="no place for Status"):
        with_values(form, ["Status=delivered"])


def test_nothing_is_posted_where_one_of_several_cannot_be(send: Callable[..., Ended]) -> None:
    ended = send("stripe/payment_intent.payment_failed", "stripe/nothing", "--new")
    assert (ended.code, ended.out) == (1, "")


# ── ids ──


@pytest.mark.parametrize(
    ("old", "form"),
    [
        ("evt_1Pq0zZZab2Cd9E", "evt_[1-9][A-Z][a-z][1-9][a-z][A-Z]{2}[a-z]{2}[1-9][A-Z][a-z][1-9][A-Z]"),
        ("Ev0YHAD932R3", "Ev[1-9][A-Z]{4}[1-9]{3}[A-Z][1-9]{3}"),
        ("acme-2026-004171", "acme-[1-9]{4}-[1-9]{7}"),
        ("4711", "[1-9]{12}"),
        ("4b2c7bb2-5ec1-4862-b85c-1be5aa5e710a", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ],
)  # fmt: skip
def test_a_new_id_has_the_old_ones_form(old: str, form: str) -> None:
    made = {new_id(old) for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(form, new) for new in made)
