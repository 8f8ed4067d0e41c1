"""The worker inside `postern serve`: it works on what arrives, and says why where it cannot."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from processors.actors import Idle, Working, start
from processors.handler import REGISTERED
from receiver.metrics import Metrics
from receiver.queue import Hints, make_broker
from tests.processors.bench import Bench, a_bench
from tests.support.rows import rows
from tests.support.until import until

FINE = """
from processors import on

@on("shop", "*", name="{name}")
async def fine(event, ctx):
    await ctx.step("work", lambda: 1)
"""


@contextmanager
def working(root: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> Iterator[tuple[Bench, Idle | Working]]:
    """A project with these modules, and a worker started as `serve` starts it. What it imported is forgotten after."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    registered = list(REGISTERED)
    REGISTERED.clear()
    for name, text in modules.items():
        (root / f"{name}.py").write_text(text)
    names = ", ".join(f'"{name}"' for name in modules)
    with a_bench(root, f"[handlers]\nmodules = [{names}]\n") as bench:
        broker = make_broker("memory://")
        hints = Hints(broker)
        bench.store.on_work(hints.give)
        worker = start(bench.settings, bench.store, Metrics(), broker)
        try:
            yield bench, worker
        finally:
            worker.stop()
            hints.close()
            REGISTERED[:] = registered
            for name in modules:
                sys.modules.pop(name, None)


def workers(bench: Bench) -> list[tuple[Any, ...]]:
    return rows(bench.file, "SELECT role, trouble, stopped_at IS NULL FROM process")


def test_what_arrives_is_worked_on_without_waiting_for_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with working(tmp_path, monkeypatch, fine_module=FINE.format(name="fine")) as (bench, worker):
        assert worker.trouble is None
        bench.put_many(100)
        bench.until_settled()
        assert bench.runs("handler, state") == [("fine", "succeeded")] * 100
        assert workers(bench) == [("worker", None, 1)]
    assert rows(tmp_path / "postern.db", "SELECT stopped_at IS NULL FROM process") == [(0,)]


def test_without_handlers_events_are_unhandled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with working(tmp_path, monkeypatch) as (bench, _):
        bench.put()
        bench.until_settled()
        assert rows(bench.file, "SELECT count(*) FROM run") == [(0,)]


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (
            "x = 1\nimport not_there",
            "the handler module 'broken' does not import: ModuleNotFoundError: No module named 'not_there'"
            " ({root}/broken.py:2)",
        ),
        (
            FINE.format(name="same") + FINE.format(name="same").replace("def fine", "def other"),
            "two handlers are named 'same': {root}/broken.py:4 and {root}/broken.py:10",
        ),
    ],
)
def test_a_worker_in_trouble_neither_routes_nor_claims_and_says_why(
    text: str, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = trouble.format(root=tmp_path)
    with caplog.at_level(logging.ERROR), working(tmp_path, monkeypatch, broken=text) as (bench, worker):
        assert worker.trouble == expected
        bench.put()
        assert bench.runs("handler", "1") == [None]
        assert workers(bench) == [("worker", expected, 1)]
    assert f"the worker does nothing: {expected}" in caplog.text


def test_events_that_waited_for_a_broken_module_are_done_once_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with working(tmp_path, monkeypatch, mended="import not_there") as (bench, _):
        bench.put()
    with working(tmp_path, monkeypatch, mended=FINE.format(name="mended")) as (bench, _):
        until(lambda: bench.runs() == ["succeeded"])
