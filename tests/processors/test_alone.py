"""Suspects in real child processes: one that kills its process takes nobody along, and is parked for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors import Context, Event, on
from processors.alone import ChildRuns
from receiver.store import runs
from receiver.store.replays import Replay, replay
from tests.processors.bench import Bench, a_bench
from tests.support.until import until
from tests.support.upstream import Upstream, upstream

HANDLERS = """
import os
import signal
import threading
from pathlib import Path
from processors import on

@on("shop", "kill")
def kill(event, ctx):
    os.kill(os.getpid(), signal.SIGKILL)

@on("shop", "leave")
async def leave(event, ctx):
    os._exit(0)

@on("shop", "fine")
async def fine(event, ctx):
    await ctx.step("pid", os.getpid)

@on("shop", "fail")
def fail(event, ctx):
    raise SystemExit("not the end")

@on("shop", "two-calls", name="two-calls")
async def two_calls(event, ctx):
    await ctx.api("ledger").post("/first", json={"n": 1})
    if not Path("died").exists():
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    await ctx.api("ledger").post("/second", json={"n": 2})

@on("shop", "wait")
async def wait(event, ctx):
    Path("begun").touch()
    threading.Event().wait()
"""


@pytest.fixture
def real() -> Iterator[Upstream]:
    with upstream() as real:
        yield real


@pytest.fixture
def bench(tmp_path: Path, real: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "suspects.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    config = f'[handlers]\nmodules = ["suspects"]\n[apis.ledger]\nbase_url = "{real.url}"\n'
    with a_bench(tmp_path, config) as bench:
        yield bench


def named(name: str, type_: str | None = None) -> Any:
    """A stand-in of the module's handler in this process, where it must never run."""

    @on("shop", type_ or name, name=name)
    async def handler(event: Event[Any], ctx: Context) -> None:
        raise AssertionError("this run is a suspect")

    return handler


def suspect(bench: Bench, handler: Any) -> None:
    for _ in range(2):
        assert len(bench.claim(handler, lease_s=-1)) == bench.write(runs.sweep) == 1


def run_alone(bench: Bench, name: str) -> list[Any]:
    """Lets a worker die twice under a run, and then an engine have it: how it ended."""
    handler = named(name)
    bench.put(name)
    suspect(bench, handler)
    with bench.engine(handler, alone=ChildRuns(bench.settings)):
        bench.until_settled(60)
    return bench.runs("state, code, attempts")


def test_a_handler_that_kills_its_process_is_parked_and_the_others_are_done(bench: Bench) -> None:
    @on("shop", "other")
    async def others(event: Event[Any], ctx: Context) -> None: ...

    handler = named("kill")
    bench.put("kill")
    suspect(bench, handler)
    with bench.engine(handler, others, alone=ChildRuns(bench.settings)):
        bench.put_many(50, "other")
        bench.until_settled(60)
    assert bench.runs("state, code, reason, attempts", "handler = 'kill'") == [
        ("parked", "crashed", "its process died twice, and then the child that ran it alone: signal 9", 3)
    ]
    assert bench.runs(where="handler = 'others'") == ["succeeded"] * 50


def test_leaving_the_process_without_a_word_is_a_death_too(bench: Bench) -> None:
    assert run_alone(bench, "leave") == [("parked", "crashed", 3)]


def test_a_suspect_that_does_its_work_is_done_in_a_process_of_its_own(bench: Bench) -> None:
    assert run_alone(bench, "fine") == [("succeeded", None, 3)]
    [(name, state, pid)] = bench.steps("name, state, body")
    assert (name, state) == ("pid", "done")
    assert int(pid) != os.getpid()


def test_a_suspect_that_only_fails_is_tried_again_like_any_other(bench: Bench) -> None:
    handler = named("fail")
    bench.put("fail")
    suspect(bench, handler)
    with bench.engine(handler, alone=ChildRuns(bench.settings)):
        until(lambda: bench.runs("code") == ["exception"], 60)
    assert bench.runs("state, failures, lapses") == [("waiting", 1, 0)]


def test_a_project_that_no_longer_imports_is_not_the_runs_fault(bench: Bench) -> None:
    (bench.root / "suspects.py").write_text("import not_there")
    handler = named("fine")
    bench.put("fine")
    suspect(bench, handler)
    with bench.engine(handler, alone=ChildRuns(bench.settings)):
        until(lambda: bench.runs("code") == ["exception"], 60)
    assert bench.runs("state, reason") == [("waiting", "the process to run it alone in did not start")]


def test_a_handler_that_dies_between_its_two_calls_goes_on_with_the_second(bench: Bench, real: Upstream) -> None:
    """By a real SIGKILL: the first call is not sent again, and the second carries the key it always would have had."""
    assert run_alone(bench, "two-calls") == [("parked", "crashed", 3)]
    assert [call.path for call in real.calls] == ["/first"]
    [event_id] = bench.runs("event_id")
    bench.write(lambda tx: replay(tx, event_id, Replay()))
    suspect(bench, named("two-calls"))
    with bench.engine(named("two-calls"), alone=ChildRuns(bench.settings)):
        bench.until_settled(60)
    assert bench.runs() == ["succeeded"]
    assert [call.path for call in real.calls] == ["/first", "/second"]
    assert [call.key for call in real.calls] == [key for (key,) in bench.steps("key")]


def test_a_child_that_holds_no_lease_runs_nothing(bench: Bench) -> None:
    handler = named("kill")
    bench.put("kill")
    [late] = bench.claim(handler)
    bench.write(runs.sweep, later_s=60)
    [holder] = bench.claim(handler, later_s=60)
    with child(bench, late) as process:
        assert process.wait(60) == 81
    assert bench.runs("state, token") == [("running", holder.token)]


def test_a_child_ends_with_its_parent(bench: Bench) -> None:
    handler = named("wait")
    bench.put("wait")
    [run] = bench.claim(handler)
    with child(bench, run) as process:
        until((bench.root / "begun").exists, 60)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 3
    assert bench.runs() == ["running"], "whoever finds the lease run out decides"


def child(bench: Bench, run: Any) -> "subprocess.Popen[bytes]":
    repository = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "processors.alone", str(run.id), str(run.token)],
        cwd=bench.root, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": repository},
    )  # fmt: skip
