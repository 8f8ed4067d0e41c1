"""What a log line looks like, for machines and on a terminal, and how often there is one."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from receiver import log
from receiver.log import Hush

postern = logging.getLogger("postern.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields() -> None:
    stream = io.StringIO()
    log.set_up(stream=stream)
    postern.info("took\n%s", "it", extra={"event": "ev_1", "missing": None, "odd": {1, 2}})
    [line] = logged(stream)
    assert (line["level"], line["logger"], line["message"], line["event"]) == (
        "info",
        "postern.test",
        "took\nit",
        "ev_1",
    )
    assert datetime.fromisoformat(line["at"]).tzinfo is not None
    assert "missing" not in line


def test_text_that_is_no_text_does_not_stop_a_line() -> None:
    stream = io.StringIO()
    log.set_up(stream=stream)
    postern.info("\ud800", extra={"body": b"\xff"})
    assert logged(stream)[0]["message"] == "\ud800"


def test_an_exception_stands_in_its_line() -> None:
    stream = io.StringIO()
    log.set_up(stream=stream)
    try:
        raise ValueError("the cause")
    except ValueError:
        postern.exception("failed")
    [line] = logged(stream)
    assert "ValueError: the cause" in line["exception"]


def test_a_terminal_gets_readable_lines_with_the_next_step() -> None:
    stream = Terminal()
    log.set_up(stream=stream)
    postern.warning("refused", extra={"source": "stripe", "next": "postern doctor"})
    first, second = stream.getvalue().splitlines()
    assert first.endswith("warning refused  [source=stripe]")
    assert second.strip() == "next: postern doctor"


def test_what_is_bound_stands_in_every_line_of_its_task_and_in_no_other() -> None:
    stream = io.StringIO()
    log.set_up(stream=stream)

    async def work(name: str) -> None:
        log.bind(event=name)
        await asyncio.sleep(0)
        log.bind(run=f"run_{name}")
        postern.info("at work")

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))
        postern.info("done")

    asyncio.run(both())
    assert [(line.get("event"), line.get("run")) for line in logged(stream)] == [
        ("a", "run_a"),
        ("b", "run_b"),
        (None, None),
    ]


def test_others_speak_only_when_it_matters() -> None:
    stream = io.StringIO()
    log.set_up(stream=stream)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("httpx").info("HTTP Request: POST")
    logging.getLogger("alembic.runtime.migration").info("Running upgrade")
    assert stream.getvalue() == ""


def test_one_line_speaks_for_many_alike_and_says_how_many() -> None:
    now = 100.0
    hush = Hush(clock=lambda: now)
    assert [hush.speak("a") for _ in range(5)] == [1, 0, 0, 0, 0]
    assert hush.speak("b") == 1
    now += log.QUIET_S
    assert [hush.speak("a"), hush.speak("a")] == [5, 0]
