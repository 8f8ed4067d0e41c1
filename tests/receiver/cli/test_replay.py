"""`postern replay event`: asks first, does nothing by halves, and says what was done with each run."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.store.runs import Verdict
from tests.receiver.cli.conftest import Ended, environment
from tests.support.stored import SUCCEEDED, Stored, offer, stored

Typed = Callable[..., Ended]
REFUSED = Verdict("parked", "refused", "422")
FAILED = Verdict("waiting", "upstream", "503", wait_s=3600.0, failure=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    (tmp_path / "postern.toml").write_text("")
    with stored(tmp_path) as shop:
        yield shop


def test_each_run_is_told_with_what_was_done(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    ambiguous = Verdict("parked", "ambiguous", "no answer")
    shop.work(a=REFUSED, b=SUCCEEDED, c=FAILED, d=ambiguous, e=Verdict("dropped"))
    runs = {run["handler"]: run for run in typed(tmp_path, "events", "show", event, "--json").rows[0]["runs"]}
    ended = typed(tmp_path, "replay", "event", event, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "event             handler  was        done\n"
        f"{event}  a        parked     due again\n"
        f"{event}  b        succeeded  nothing to do: it is finished\n"
        f"{event}  c        waiting    nothing to do: it is waiting or at work\n"
        f"{event}  d        parked     left parked: say what happened with postern runs resolve {runs['d']['id']}\n"
        f"{event}  e        dropped    nothing to do: it is finished\n"
    )
    assert shop.states(event)["a"] == ("waiting", None)
    assert shop.states(event)["d"] == ("parked", "ambiguous")


def test_replaying_what_succeeded_changes_nothing_and_exits_0(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(a=SUCCEEDED)
    before = typed(tmp_path, "events", "explain", event).out
    assert typed(tmp_path, "replay", "event", event, "--yes").code == 0
    assert typed(tmp_path, "events", "explain", event).out == before


def test_effects_are_repeated_only_when_told_to(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(a=SUCCEEDED, b=SUCCEEDED)
    arguments = ("--handler", "a", "--effects", "repeat", "--reason", "the ledger was restored", "--yes", "--json")
    ended = typed(tmp_path, "replay", "event", "shop:evt_1", *arguments)
    [row] = ended.rows
    assert (row["event"], row["handler"], row["was"], row["done"]) == (event, "a", "succeeded", "repeated")
    assert shop.states(event) == {"a": ("waiting", None), "b": ("succeeded", None)}
    assert (
        "a: was replayed, effects may repeat; the ledger was restored\n"
        in typed(tmp_path, "events", "explain", event).out
    )


def test_an_unhandled_event_is_routed_again(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.claim()
    ended = typed(tmp_path, "replay", "event", event, "--yes")
    assert ended.out.splitlines()[1] == f"{event}  -        -    routed again"
    shop.work(a=SUCCEEDED)
    assert shop.states(event) == {"a": ("succeeded", None)}


def test_a_handler_without_a_run_of_it_gets_one_if_it_takes_the_event(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    paid, open_ = shop.arrive("1", "order.paid"), shop.arrive("2", "order.open")
    shop.work(a=SUCCEEDED)
    shop.worker(offer("b", "shop", "*.paid"))
    rows = typed(tmp_path, "replay", "event", paid, open_, "--handler", "b", "--yes", "--json").rows
    assert [(row["event"], row["done"]) for row in rows] == [(paid, "added"), (open_, "not_taken")]


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("bok", "postern: no handler 'bok': no such run, and no live worker offers it\n"
                "  at --handler\n  Did you mean book?\n"),
        ("zzz", "postern: no handler 'zzz': no such run, and no live worker offers it\n"
                "  at --handler\n  There are book, notify\n"),
    ],
)  # fmt: skip
def test_an_unknown_handler_is_named_with_those_there_are(
    tmp_path: Path, shop: Stored, typed: Typed, handler: str, said: str
) -> None:
    event = shop.arrive()
    shop.work(book=REFUSED)
    shop.worker(offer("notify"))
    ended = typed(tmp_path, "replay", "event", event, "--handler", handler, "--yes")
    assert (ended.code, ended.out, ended.err) == (1, "", said)
    assert shop.states(event) == {"book": ("parked", "refused")}


def test_with_one_unknown_event_nothing_is_done_at_all(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    event = shop.arrive()
    shop.work(a=REFUSED)
    ended = typed(tmp_path, "replay", "event", event, "shop:nope", "ev_1", "--yes")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == ("postern: there is no event shop:nope, ev_1: nothing was done\n  Type postern events list\n")
    many = typed(tmp_path, "replay", "event", *(f"ev_{number}" for number in range(9)), "--yes")
    assert many.err.startswith("postern: there is no event ev_0, ev_1, ev_2, ev_3, ev_4 and 4 more: nothing was done\n")
    assert shop.states(event) == {"a": ("parked", "refused")}


@pytest.mark.parametrize(
    ("more", "question"),
    [((), "Replay 1 event?"), (("--effects", "repeat"), "Replay 1 event, and let all its effects happen again?")],
)
def test_without_a_terminal_somebody_must_have_said_yes(
    tmp_path: Path, shop: Stored, more: tuple[str, ...], question: str
) -> None:
    event = shop.arrive()
    shop.work(a=REFUSED)
    done = replay_stdin(tmp_path, "", event, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"postern: {question} Nobody is here to answer.\n  Add --yes to do it\n"
    assert shop.states(event) == {"a": ("parked", "refused")}


def replay_stdin(folder: Path, stdin: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "receiver", "replay", "event", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), input=stdin, capture_output=True, text=True, check=False
    )


def test_a_dash_reads_the_events_from_standard_input_each_once(tmp_path: Path, shop: Stored) -> None:
    events = [shop.arrive(f"evt_{number}") for number in range(3)]
    shop.work(a=REFUSED)
    done = replay_stdin(tmp_path, f"{events[1]}\nshop:evt_1\n\n{events[2]}\n", events[0], "-", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == events
    assert [shop.states(event)["a"][0] for event in events] == ["waiting"] * 3


def test_no_event_at_all_on_standard_input_is_nothing_to_do(tmp_path: Path, shop: Stored) -> None:
    done = replay_stdin(tmp_path, "\n", "-", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_more_events_than_one_transaction_takes_are_all_replayed(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    events = [shop.arrive(f"evt_{number}") for number in range(120)]
    shop.sql("UPDATE run SET handler = 'a', state = 'parked', code = 'refused'")
    rows = typed(tmp_path, "replay", "event", *events, "--yes", "--json").rows
    assert [(row["event"], row["done"]) for row in rows] == [(event, "again") for event in events]


@pytest.mark.parametrize("command", ["plan", "apply", "status", "pause", "resume", "cancel", "shadow"])
def test_what_is_not_built_yet_says_so(tmp_path: Path, typed: Typed, command: str) -> None:
    ended = typed(tmp_path, "replay", command, "--since", "3d", "x")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"postern: postern replay {command} is not built yet\n"
        "  Single events are replayed with postern replay event ID…\n"
    )


def test_a_rate_is_not_built_yet_and_says_so(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "replay", "event", "ev_x", "--rate", "100/s")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "postern: postern replay event --rate is not built yet\n  Leave it out\n"
