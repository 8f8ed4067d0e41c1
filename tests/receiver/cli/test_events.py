"""`postern events`: lists that hold what they were asked for, exact bytes, and one event's story."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.store.runs import Claimed, Verdict
from tests.receiver.cli.conftest import Ended, environment
from tests.support import ledger
from tests.support.stored import SUCCEEDED, Stored, offer, steady, stored

Typed = Callable[..., Ended]
REFUSED = Verdict("parked", "refused", "POST ledger /entries answered 422: no\nsuch account")
FAILED = Verdict("waiting", "upstream", "503", wait_s=3600.0, failure=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    (tmp_path / "postern.toml").write_text("")
    with stored(tmp_path) as shop:
        yield shop


# ── list ──


def test_a_list_is_a_table_newest_first(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    first = shop.arrive("evt_1", "order.paid")
    shop.work(book=REFUSED)
    second = shop.arrive("evt_2", "order.\x1b[31mpaid")
    ended = typed(tmp_path, "events", "list")
    assert (ended.code, ended.err) == (0, "")
    assert steady(ended.out) == (
        "event             received              source  type             status     attempts  code     due\n"
        f"{second}  2030-01-01T00:00:00Z  shop    order.�[31mpaid  pending    0         -        -\n"
        f"{first}  2030-01-01T00:00:00Z  shop    order.paid       attention  1         refused  -\n"
    )


def test_as_json_each_event_is_a_line_with_what_the_contract_names(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive(body=b'{"a":1}')
    shop.work(book=FAILED)
    [row] = typed(tmp_path, "events", "list", "--json").rows
    sha256 = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert row.pop("received_at").endswith("Z")
    assert row.pop("due_at").endswith("Z")
    assert row == {
        "id": event, "external_id": "evt_1", "source": "shop", "type": "order.paid", "status": "pending",
        "sha256": sha256, "attempts": 1, "code": "upstream", "duplicates": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "filters",
    ["--source shop", "--type order.*", "--status attention", "--failing", "--handler book", "--code refused",
     "--since 2h", "--since 2020-01-01T00:00:00+01:00 --until 2100-01-01T00:00:00Z", "--limit 1 --handler book"],
)  # fmt: skip
def test_every_filter_chooses(tmp_path: Path, shop: Stored, typed: Typed, filters: str) -> None:
    shop.arrive("other", "other", "other", ago_s=8000)
    shop.claim()
    event = shop.arrive()
    shop.work(book=REFUSED)
    listed = [row["id"] for row in typed(tmp_path, "events", "list", "--json", *filters.split()).rows]
    assert listed[:1] == [event]
    assert len(listed) == (2 if "2020" in filters else 1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--since=x", "invalid value for '--since': 'x' is no time: write 2h, 3d, 15m or 2030-01-31T08:00:00Z"),
        ("--until=2030-01-31", "invalid value for '--until': '2030-01-31' is no time: write 2h, 3d, 15m or"
                               " 2030-01-31T08:00:00Z"),
        ("--since=999999999w", "invalid value for '--since': '999999999w' is no time: write 2h, 3d, 15m or"
                               " 2030-01-31T08:00:00Z"),
        ("--type=\udcff", "invalid value for '--type': this is not UTF-8"),
        ("--status=bad", "invalid value for '--status': 'bad' is not one of 'attention', 'pending', 'unhandled',"
                         " 'done'."),
        ("--limit=0", "invalid value for '--limit': 0 is not in the range 1<=x<=1000000."),
        ("--limit=99999999999999999999",
         "invalid value for '--limit': 99999999999999999999 is not in the range 1<=x<=1000000."),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(tmp_path: Path, typed: Typed, option: str, said: str) -> None:
    ended = typed(tmp_path, "events", "list", option)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"postern: {said}\n  Usage: postern events list [OPTIONS]\n"


def test_without_a_store_it_says_how_to_get_one(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "events", "list")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"postern: there is no store yet\n  at {tmp_path}/postern.db\n")


@pytest.mark.parametrize("command", ["list", "show shop:evt_1", "explain shop:evt_1"])
def test_a_configuration_that_is_wrong_elsewhere_is_a_warning(
    tmp_path: Path, shop: Stored, typed: Typed, command: str
) -> None:
    shop.arrive("evt_1")
    before = typed(tmp_path, "events", *command.split())
    (tmp_path / "postern.toml").write_text("[server]\nprt = 1\n")
    ended = typed(tmp_path, "events", *command.split())
    assert (ended.code, ended.out) == (0, before.out)
    assert ended.err == (
        "postern: postern.toml:2: unknown key 'prt' in [server]\n  Did you mean 'port'?\n  Left out for now: [server]\n"
    )


# ── show ──


def test_show_tells_of_the_event_its_headers_and_its_runs(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(book=REFUSED)
    [run] = typed(tmp_path, "events", "show", event, "--json").rows[0]["runs"]
    ended = typed(tmp_path, "events", "show", "shop:evt_1")
    assert steady(ended.out) == (
        f"id           {event}\n"
        "external_id  evt_1\n"
        "source       shop\n"
        "type         order.paid\n"
        "status       attention\n"
        "received_at  2030-01-01T00:00:00Z\n"
        "sha256       44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n"
        "attempts     1\n"
        "code         refused\n"
        "duplicates   0\n"
        "size_bytes   2\n"
        "headers\n"
        "  host: localhost\n"
        "  x-note: a: b\n"
        "runs\n"
        "run                handler  state   code     attempts  failures  due  reason\n"
        f"{run['id']}  book     parked  refused  1         0         -    "
        "POST ledger /entries answered 422: no such account\n"
    )


def test_show_as_json_holds_runs_and_headers(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(book=REFUSED)
    [row] = typed(tmp_path, "events", "show", event, "--json").rows
    assert row["id"] == event
    assert row["headers"] == [["host", "localhost"], ["x-note", "a: b"]]
    [run] = row["runs"]
    contract = ("handler", "state", "code", "reason", "attempts", "failures", "due_at")
    assert [run[name] for name in contract] == ["book", "parked", "refused", REFUSED.reason, 1, 0, None]
    assert run["id"].startswith("run_")


def test_raw_prints_the_exact_bytes_and_nothing_else(tmp_path: Path, shop: Stored) -> None:
    body = b"\xff\x00{not json}\r\n"
    event = shop.arrive(body=body)
    command = [sys.executable, "-m", "receiver", "events", "show", event, "--raw"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (body, b"")


def test_raw_bytes_and_json_are_not_both(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "events", "show", "ev_1", "--raw", "--json")
    assert (ended.code, ended.err) == (2, "postern: --raw prints bytes, and --json an object\n  Type one of them\n")


@pytest.mark.parametrize("command", ["show", "explain"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ev_0000000000001", "there is no event ev_0000000000001\n  Type postern events list\n"),
        ("shop:none", "there is no event shop:none\n  Type postern events list\n"),
        ("evt_1", "evt_1 names no event\n  Type its id (ev_…, see postern events list), or source:external_id\n"),
    ],
)
def test_an_unknown_event_is_named_with_what_to_type(
    tmp_path: Path, shop: Stored, typed: Typed, command: str, name: str, said: str
) -> None:
    ended = typed(tmp_path, "events", command, name)
    assert (ended.code, ended.out, ended.err) == (1, "", f"postern: {said}")


# ── explain ──


def test_the_story_of_an_event_is_told_in_its_order(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(offer("book"), offer("notify"))
    event = shop.arrive()
    for run in shop.claim("book", "notify"):
        if run.handler == "book":
            record(shop, run, "refused", 422)
            shop.finish(run, REFUSED)
        else:
            shop.finish(run, SUCCEEDED)
    assert typed(tmp_path, "replay", "event", event, "--handler", "book", "--yes", "--reason", "mended").code == 0
    shop.work(book=FAILED)
    shop.arrive(body=b"other")
    due = typed(tmp_path, "events", "list", "--json").rows[0]["due_at"][:19]
    ended = typed(tmp_path, "events", "explain", event)
    assert (ended.code, ended.err) == (0, "")
    assert steady(ended.out.replace(f"until {due}", "until then")) == (
        f"{event}  shop  order.paid  evt_1  pending\n"
        "  2030-01-01T00:00:00.000Z  received from shop, signature verified, 2 bytes\n"
        "                            routed to book, notify\n"
        "  2030-01-01T00:00:00.000Z  book: step 'POST ledger /entries' intended, key key-1\n"
        "  2030-01-01T00:00:00.000Z  book: step 'POST ledger /entries' answered 422, without effect\n"
        "  2030-01-01T00:00:00.000Z  book: attempt 1 was parked, refused:"
        " POST ledger /entries answered 422: no such account\n"
        "  2030-01-01T00:00:00.000Z  notify: attempt 1 succeeded\n"
        "  2030-01-01T00:00:00.000Z  book: was replayed, mended\n"
        "  2030-01-01T00:00:00.000Z  book: attempt 2 failed, upstream: 503\n"
        "  2030-01-01T00:00:00.000Z  differing, a delivery of the same id had other bytes: sha256"
        " d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, 5 bytes; the first ones are kept\n"
        "                            delivered again once: answered as a duplicate, nothing more was done\n"
        "now\n"
        "  book waits until thenZ (upstream) (2 attempts, 1 failed)\n"
        "  notify is finished, succeeded (1 attempt, 0 failed)\n"
        "next\n"
        "  Nothing: book is tried again at its time\n"
    )


def record(shop: Stored, run: Claimed, state: str, status: int | None) -> None:
    name = "POST ledger /entries"
    request = b"POST /entries\n\n"
    step = shop.store.write_from_thread(lambda tx: ledger.intend(tx, run, name, 0, "key-1", request))
    shop.store.write_from_thread(lambda tx: ledger.conclude(tx, step, state, status, b"{}", b""))


PLACE = "book (/shop/webhooks.py:7)"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("asked", f"{PLACE} asked for a person: settle that first"),
        ("schema_error", f"Mend the type that {PLACE} reads its event as, and restart"),
        ("refused", f"Mend what {PLACE} sends, or what its upstream expects, and restart:"
                    " what succeeded is not sent again"),
        ("failures_exhausted", f"Put right what {PLACE} fails at: what succeeded is not sent again"),
        ("crashed", f"Mend {PLACE}, which ended its process each time it ran, and restart"),
        ("step_drift", f"Name the step in {PLACE} (step=…), so that its own bytes are sent again, and restart"),
        ("handler_missing", f"Bring {PLACE} back, or name it in aliases= of the one that took its place, and restart"),
        ("missing_secret", "Put the secret there, and restart"),
        ("needs_credentials", "Put right the auth of that upstream, or what it allows, and restart"),
        ("of_tomorrow", "Put right what stands above"),
    ],
)  # fmt: skip
def test_of_a_parked_run_it_says_what_to_do_and_then_to_type(
    tmp_path: Path, shop: Stored, typed: Typed, code: str, said: str
) -> None:
    shop.worker(offer("book"))
    event = shop.arrive()
    shop.work(book=Verdict("parked", code, "because"))
    now, following = typed(tmp_path, "events", "explain", event).out.partition("\nnow\n")[2].split("next\n")
    assert now == f"  book is parked as {code}: because (1 attempt, 0 failed)\n"
    assert following == f"  {said}\n    postern replay event {event} --handler book\n"


def test_what_is_ambiguous_is_resolved_and_not_replayed(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    [run] = shop.claim("book")
    record(shop, run, "open", None)
    shop.finish(run, Verdict("parked", "ambiguous", "no answer"))
    out = typed(tmp_path, "events", "explain", event).out
    [shown] = typed(tmp_path, "events", "show", event, "--json").rows[0]["runs"]
    assert "'POST ledger /entries' ended, effect unknown\n" in out
    assert out.endswith(
        "next\n  Find out at the upstream whether it took effect (the key stands above), and say so\n"
        f"    postern runs resolve {shown['id']}\n"
    )


def following(typed: Typed, folder: Path, event: str) -> str:
    return str(typed(folder, "events", "explain", event).out.partition("\nnext\n")[2])


def test_what_waits_for_a_worker_says_which_there_is_not(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    unrouted = shop.arrive("evt_1")
    waiting = shop.arrive("evt_2")
    shop.sql("UPDATE run SET handler = 'book' WHERE id = (SELECT max(id) FROM run)")
    for event in (unrouted, waiting):
        assert following(typed, tmp_path, event) == "  No worker is running\n    postern serve\n"
    broken = shop.worker(trouble="'webhooks' does not import (webhooks.py:3)")
    for event in (unrouted, waiting):
        assert following(typed, tmp_path, event) == (
            "  The worker does nothing: 'webhooks' does not import (webhooks.py:3). Mend it, and restart\n"
            "    postern serve\n"
        )
    shop.sql("UPDATE process SET stopped_at = seen_at WHERE id = :id", id=broken)
    shop.worker(offer("other"))
    assert following(typed, tmp_path, unrouted) == "  Nothing: a worker is there, and takes it now\n"
    assert following(typed, tmp_path, waiting) == (
        "  No live worker has a handler named book: bring it back, or name it in aliases=, and restart."
        " After ten minutes the run is parked\n    postern serve\n"
    )
    shop.worker(offer("book"))
    assert following(typed, tmp_path, waiting) == "  Nothing: book is due, and a worker is there\n"


def test_an_unhandled_event_says_which_handlers_there_are_and_what_to_write(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    event = shop.arrive(type="order.open")
    shop.claim()
    wanted = f'write one under @on("shop", "order.open"), and restart\n    postern replay event {event}\n'
    assert following(typed, tmp_path, event) == f"  No handler takes it: {wanted}"
    shop.worker(offer("book", "shop", "order.paid"), offer("other", "mail"), offer("old", "", ""))
    assert following(typed, tmp_path, event) == f"  No handler takes it (book takes order.paid): {wanted}"


def test_what_is_done_needs_nothing(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(book=Verdict("dropped", reason="an anonymous payment"), notify=SUCCEEDED)
    out = typed(tmp_path, "events", "explain", event).out
    assert "  book is finished, dropped: an anonymous payment (1 attempt, 0 failed)\n" in out
    assert out.endswith("next\n  Nothing: it is done\n")


def test_what_is_at_work_is_left_to_it(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(offer("book"))
    event = shop.arrive()
    assert shop.claim("book")
    out = typed(tmp_path, "events", "explain", event).out
    assert "book: attempt 1 began\nnow\n  book is at work (1 attempt, 0 failed)\n" in out
    assert out.endswith("next\n  Nothing: book is at work\n")


def test_the_story_as_json_is_the_event_and_more(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(book=REFUSED)
    [row] = typed(tmp_path, "events", "explain", event, "--json").rows
    assert (row["id"], row["status"]) == (event, "attention")
    assert [told["what"].split()[0] for told in row["happened"]] == ["received", "routed", "book:"]
    assert row["next"][0]["command"] == f"postern replay event {event} --handler book"
    assert json.dumps(row["now"]).startswith('["book is parked as refused')
