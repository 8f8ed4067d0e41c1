"""`postern status`: one screen that exits 1 as soon as anything needs a person, and says what to type."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname

import pytest

from receiver import __version__
from receiver.store import processes
from receiver.store.runs import Verdict
from tests.receiver.cli.conftest import Ended
from tests.support.stored import DAY_US, SUCCEEDED, Stored, now_us, offer, steady, stored

Typed = Callable[..., Ended]
CONFIG = """
[sources.shop]
preset = "stripe"
secrets = ["env:KEY"]
[sources.silent]
preset = "github"
"""
NEVER = datetime(2999, 1, 1, tzinfo=UTC)
REFUSED = Verdict("parked", "refused", "422")
FAILED = Verdict("waiting", "upstream", "503", wait_s=3600.0, failure=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    (tmp_path / "postern.toml").write_text(CONFIG)
    with stored(tmp_path) as shop:
        yield shop


def needed(typed: Typed, folder: Path) -> list[tuple[str, str]]:
    """What needs a person; it must be what the exit code says."""
    ended = typed(folder, "status", "--json")
    found = [(row["text"], row["command"]) for row in ended.rows if row["kind"] == "needed"]
    assert ended.code == (1 if found else 0)
    assert typed(folder, "status").code == ended.code
    return found


def test_a_new_store_needs_nobody_and_shows_the_configured_sources(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    ended = typed(tmp_path, "status")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "source  last accepted  accepted  duplicates  refused since  verified by\n"
        "shop    -              0         0           0              -\n"
        "silent  -              0         0           0              -\n"
        "\n"
        "receiver   none is running\n"
        "worker     none is running\n"
        "\n"
        "runs       0 unrouted   0 waiting   0 running   0 parked\n"
        "\n"
        "nothing needs a person\n"
    )


def test_a_broken_configuration_needs_a_person_and_hides_no_source(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.arrive("evt_1")
    (tmp_path / "postern.toml").write_text(CONFIG.replace("secrets", "scret"))
    assert ("the configuration is not valid: [sources.shop]", "postern config check") in needed(typed, tmp_path)
    ended = typed(tmp_path, "status")
    assert ended.err.startswith("postern: postern.toml:4: unknown key 'scret' in [sources.shop]\n")
    assert [line.split()[0] for line in ended.out.splitlines()[1:3]] == ["silent", "shop"]


def test_one_screen_tells_of_sources_workers_runs_and_failures(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.receiver("http://127.0.0.1:8000")
    for number in range(2):
        shop.arrive(f"evt_{number}")
    shop.work(book=REFUSED, notify=SUCCEEDED)
    shop.arrive("evt_2")
    shop.work(notify=FAILED)
    shop.arrive("evt_2")
    shop.arrive("evt_3")
    shop.claim()
    shop.refuse()
    shop.worker(offer("book"), offer("notify"))
    [due] = [row["next_at"][:19] for row in typed(tmp_path, "status", "--json").rows if row.get("next_at")]
    ended = typed(tmp_path, "status")
    process = f"(process {pid(shop)} on {gethostname()}, {__version__})"
    assert (ended.code, ended.err) == (1, "")
    assert steady(ended.out.replace(due, "2040-01-01T00:00:00")) == (
        "source  last accepted         accepted  duplicates  refused since  verified by\n"
        "shop    2030-01-01T00:00:00Z  4         1           1              env:KEY (0a1b2c3d)\n"
        "silent  -                     0         0           0              -\n"
        "\n"
        f"receiver   http://127.0.0.1:8000  {process}\n"
        f"worker     works  {process}\n"
        "\n"
        "runs       0 unrouted   1 waiting   0 running   2 parked\n"
        "unhandled  1 in the last 24 hours: postern events list --status unhandled --since 24h\n"
        "\n"
        "failing  code      state    runs  first                 newest                next                  type\n"
        "book     refused   parked   2     2030-01-01T00:00:00Z  2030-01-01T00:00:00Z  -                   "
        "  postern events list --failing --handler book --code refused\n"
        "notify   upstream  waiting  1     2030-01-01T00:00:00Z  2030-01-01T00:00:00Z  2030-01-01T00:00:00Z"
        "  postern events list --failing --handler notify --code upstream\n"
        "\n"
        "needs a person\n"
        "  2 runs are parked\n"
        "    postern events list --status attention\n"
        "  shop: 1 refused since the last one that was accepted (signature_mismatch)\n"
        "    postern rejections list --source shop\n"
    )


def pid(shop: Stored) -> int:
    number: int = shop.store.write_from_thread(lambda tx: tx.all("SELECT pid FROM process"))[0][0]
    return number


def test_a_failure_that_will_be_tried_again_needs_nobody(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(offer("book"))
    shop.arrive()
    shop.work(book=FAILED)
    assert needed(typed, tmp_path) == []


def test_a_parked_run_needs_a_person(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(offer("book"))
    shop.arrive()
    shop.work(book=REFUSED)
    assert needed(typed, tmp_path) == [("1 run is parked", "postern events list --status attention")]


def test_a_worker_with_trouble_needs_a_person_and_names_the_line(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    number = shop.worker(trouble="the handler module 'webhooks' does not import (webhooks.py:3)")
    said = "a worker does nothing: the handler module 'webhooks' does not import (webhooks.py:3)"
    assert needed(typed, tmp_path) == [(said, "postern doctor")]
    assert f"worker     does nothing: {said.partition(': ')[2]}  (process" in typed(tmp_path, "status").out
    shop.sql("UPDATE process SET seen_at = seen_at - 60000000 WHERE id = :id", id=number)
    assert needed(typed, tmp_path) == []


@pytest.mark.parametrize("state", ["unrouted", "waiting", "running"])
def test_work_that_nobody_is_there_for_needs_a_person(tmp_path: Path, shop: Stored, typed: Typed, state: str) -> None:
    shop.arrive()
    if state == "waiting":
        shop.work(book=FAILED)
    if state == "running":
        assert shop.claim("book")
    assert needed(typed, tmp_path) == [("1 run is waiting, and no worker is alive", "postern serve")]
    shop.worker(offer("book"))
    assert needed(typed, tmp_path) == []


def test_a_receiver_that_ended_without_a_word_needs_a_person_and_a_stopped_one_does_not(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    stopped, killed = shop.receiver("http://127.0.0.1:1"), shop.receiver("http://127.0.0.1:2")
    shop.sql("UPDATE process SET seen_at = seen_at - 60000000 WHERE id = :id", id=killed)
    assert needed(typed, tmp_path) == []  # the other one lives
    shop.sql("UPDATE process SET seen_at = seen_at - 90000000 WHERE id = :id", id=stopped)
    [(said, command)] = needed(typed, tmp_path)
    assert steady(said) == "no receiver is alive: the last one ended without a word at 2030-01-01T00:00:00Z"
    assert command == "postern serve"
    shop.store.process_stopped(stopped)
    assert needed(typed, tmp_path) == []


def test_with_a_broker_a_missing_worker_needs_a_person_even_before_there_is_work(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    (tmp_path / "postern.toml").write_text(f'{CONFIG}\n[queue]\nurl = "redis://127.0.0.1:1/0"\n')
    assert needed(typed, tmp_path) == [("no worker is alive", "postern worker")]
    event = shop.arrive()
    assert needed(typed, tmp_path) == [("1 run is waiting, and no worker is alive", "postern worker")]
    assert "  postern worker\n" in typed(tmp_path, "events", "explain", event).out
    shop.worker(offer("book"))
    assert needed(typed, tmp_path) == []


def test_many_workers_that_are_alike_stand_on_one_line(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    for number in range(4):
        shop.sql("UPDATE process SET pid = :pid WHERE id = :id", id=shop.worker(offer("book")), pid=number)
    for _ in range(2):
        shop.worker(trouble="webhooks.py:3")
    shop.sql("UPDATE process SET host = 'elsewhere', version = '1'")
    lines = [line for line in typed(tmp_path, "status").out.splitlines() if line.startswith("worker")]
    assert [line.partition(f"{os.getpid()}")[0] for line in lines] == [
        "worker     works  (4 processes: 0, 1, 2, 3 on elsewhere, 1)",
        "worker     does nothing: webhooks.py:3  (2 processes: ",
    ]
    assert [text for text, _ in needed(typed, tmp_path)] == ["a worker does nothing: webhooks.py:3"]


def test_what_is_refused_needs_a_person_until_one_is_accepted(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(offer("book"))
    shop.refuse("timestamp_stale")
    shop.refuse("signature_mismatch", "gone")
    said = "shop: 1 refused since the last one that was accepted (timestamp_stale)"
    assert needed(typed, tmp_path) == [(said, "postern rejections list --source shop")]
    shop.arrive()
    assert needed(typed, tmp_path) == []


def test_what_any_stranger_can_have_refused_needs_nobody_and_hides_nothing(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    shop.refuse("signature_missing")
    shop.refuse("too_large")
    assert needed(typed, tmp_path) == []
    shop.refuse("signature_mismatch")
    shop.refuse("signature_missing")
    [(said, _)] = needed(typed, tmp_path)
    assert said == "shop: 4 refused since the last one that was accepted (signature_mismatch)"


def test_as_json_every_line_has_its_kind(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.receiver("http://127.0.0.1:8000")
    shop.worker(offer("book"))
    shop.arrive()
    shop.work(book=REFUSED)
    rows = typed(tmp_path, "status", "--json").rows
    kinds = [row["kind"] for row in rows]
    assert kinds == ["source", "source", "key", "receiver", "worker", "runs", "failures", "unhandled", "needed"]
    source, silent, key, receiver, worker, runs, failures, unhandled, _ = rows
    assert (key["source"], key["key"], key["verified"], key["not_after"]) == ("shop", "env:KEY (0a1b2c3d)", 1, None)
    assert (source["name"], source["accepted"], source["key"]) == ("shop", 1, "env:KEY (0a1b2c3d)")
    assert (silent["name"], silent["accepted"], silent["last_accepted_at"]) == ("silent", 0, None)
    assert (receiver["url"], worker["trouble"]) == ("http://127.0.0.1:8000", None)
    assert runs == {"kind": "runs", "unrouted": 0, "waiting": 0, "running": 0, "parked": 1}
    assert (failures["handler"], failures["code"], failures["count"]) == ("book", "refused", 1)
    assert failures["command"] == "postern events list --failing --handler book --code refused"
    assert unhandled["count"] == 0


def test_keys_that_are_rotated_are_shown_with_what_they_verify(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    rotate(tmp_path, NEVER)
    shop.arrive("evt_1")
    shop.store.activity.accepted("shop", now_us(), "env:NEW (00000000)")
    shop.store.flush()
    assert steady(typed(tmp_path, "status").out).split("\n\n")[1] == (
        "source  key                 verified  last                  ends\n"
        "shop    env:NEW (00000000)  1         2030-01-01T00:00:00Z  -\n"
        "shop    env:KEY (0a1b2c3d)  1         2030-01-01T00:00:00Z  2030-01-01T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("days", "used", "said"), [(8, True, ""), (6, False, ""), (6, True, "ends at"), (-1, False, "nothing since")]
)
def test_a_key_that_ends_soon_and_is_used_needs_a_person_and_one_that_has_ended(
    tmp_path: Path, shop: Stored, typed: Typed, days: int, used: bool, said: str
) -> None:
    rotate(tmp_path, datetime.now(UTC) + timedelta(days=days))
    shop.receiver("http://localhost:8000")
    if used:
        shop.store.activity.accepted("shop", now_us(), "env:KEY (0a1b2c3d)")
        shop.store.flush()
    assert [said in text for text, _ in needed(typed, tmp_path)] == ([True] if said else [])


def test_a_key_that_was_used_two_days_ago_needs_nobody(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    rotate(tmp_path, datetime.now(UTC) + timedelta(days=6))
    shop.store.activity.accepted("shop", now_us() - 2 * DAY_US, "env:KEY (0a1b2c3d)")
    shop.store.flush()
    assert needed(typed, tmp_path) == []


def rotate(folder: Path, end: datetime) -> None:
    old = f'{{ref = "env:KEY", not_after = {end.isoformat()}}}'
    (folder / "postern.toml").write_text(CONFIG.replace('"env:KEY"', f'"env:NEW", {old}'))


def test_a_receiver_that_could_not_read_its_new_configuration_needs_a_person(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    number = shop.receiver("http://localhost:8000")
    shop.store.write_from_thread(lambda tx: processes.troubled(tx, number, "unknown key"))
    [(text, command)] = needed(typed, tmp_path)
    assert text.endswith("goes on with its old configuration: unknown key")
    assert command == f"kill -HUP {os.getpid()}"


def test_a_command_to_type_is_one_that_a_shell_takes(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(**{"book & more": REFUSED})
    [group] = [row for row in typed(tmp_path, "status", "--json").rows if row["kind"] == "failures"]
    assert group["command"] == "postern events list --failing --handler 'book & more' --code refused"
    assert f"replay event {event} --handler 'book & more'\n" in typed(tmp_path, "events", "explain", event).out


def test_without_a_source_it_says_so(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text("")
    assert typed(tmp_path, "status").out.startswith("no source is configured\n")
