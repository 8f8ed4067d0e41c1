"""What a receiver makes of workers that are not inside it: who is there, who is in trouble, and what is said of it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.elsewhere import AGAIN_S, Elsewhere
from receiver.store import processes
from tests.support.inside import STRIPE
from tests.support.postern import serving, working, write_project
from tests.support.services import new_redis
from tests.support.stored import Stored, offer, stored
from tests.support.until import until
from tests.support.wire import get

TROUBLE = "the handler module 'shop' does not import (shop.py:3)"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    with stored(tmp_path) as shop:
        yield shop


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    lines = [(record.getMessage(), getattr(record, "next", None)) for record in caplog.records]
    caplog.clear()
    return lines


def test_that_nobody_works_is_said_now_and_then_and_that_somebody_does_once(
    shop: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    workers = Elsewhere(shop.store, clock=lambda: now)
    caplog.set_level(logging.INFO)
    nobody = ("no worker is alive: events wait in the store", "postern worker")
    workers.look()
    workers.look()
    assert said(caplog) == [nobody]
    now += AGAIN_S
    workers.look()
    assert said(caplog) == [nobody]
    number = shop.worker(offer("book"))
    workers.look()
    workers.look()
    assert (workers.trouble, said(caplog)) == (None, [("a worker is there again", None)])
    shop.store.write_from_thread(lambda tx: processes.stopped(tx, number))
    workers.look()
    assert said(caplog) == [nobody]


def test_one_that_works_is_enough_and_else_their_trouble_is_told(
    shop: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Elsewhere(shop.store)
    shop.worker(trouble=TROUBLE)
    workers.look()
    assert workers.trouble == TROUBLE
    assert said(caplog) == [(f"{TROUBLE}: events wait in the store", "postern doctor")]
    shop.worker(offer("book"))
    workers.look()
    assert workers.trouble is None


def test_a_receiver_with_a_broker_shows_whether_there_is_a_worker_and_is_ready_without(tmp_path: Path) -> None:
    with new_redis() as url:
        write_project(tmp_path, f'[queue]\nurl = "{url}"\n{STRIPE}')
        with serving(tmp_path) as postern:

            def worker() -> str:
                return str(get(postern.port, "/readyz").json()["worker"])

            until(lambda: worker() == "no worker is alive", what="the first look")
            assert get(postern.port, "/readyz").status == 200
            assert (
                'postern_worker_trouble{trouble="no worker is alive"} 1.0'
                in get(postern.port, "/metrics").body.decode()
            )
            with working(tmp_path, processes=2):
                until(lambda: worker() == "ok", what="the next look")
                assert "\npostern_workers 2.0\n" in get(postern.port, "/metrics").body.decode()
