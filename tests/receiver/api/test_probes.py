"""/healthz, /readyz and /metrics, while all is well and while it is not."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from receiver.app import create_app
from receiver.metrics import Metrics
from receiver.settings import load
from receiver.store import open_store, processes
from receiver.wellformed import Limits
from tests.support import sender
from tests.support.inside import PATH, inside, listen
from tests.support.wire import get, post


@dataclass
class FailedWorker:
    trouble: str | None = "the handler module 'shop' does not import (shop.py:3)"


def test_a_receiver_whose_store_can_be_written_is_ready(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        assert get(receiver.port, "/healthz").json() == {"status": "alive"}
        answer = get(receiver.port, "/readyz")
        assert (answer.status, answer.json()) == (200, {"status": "ready", "store": "ok", "worker": None})


def test_a_locked_store_makes_it_not_ready_but_alive_and_the_end_of_the_lock_ready_again(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        with closing(sqlite3.connect(receiver.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = get(receiver.port, "/readyz")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["store"] == "database is locked"
            assert get(receiver.port, "/healthz").status == 200
            assert get(receiver.port, "/metrics").status == 200
        assert get(receiver.port, "/readyz").status == 200


def test_a_store_without_our_tables_version_is_not_ready(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        with closing(sqlite3.connect(receiver.file)) as other:
            version = other.execute("SELECT version_num FROM alembic_version").fetchone()
            other.execute("DELETE FROM alembic_version")
            other.commit()
            assert get(receiver.port, "/readyz").json()["store"] == "there is no store yet"
            other.execute("INSERT INTO alembic_version VALUES (?)", version)
            other.commit()
        assert get(receiver.port, "/readyz").status == 200


def test_a_failed_worker_is_shown_and_does_not_make_it_red(tmp_path: Path) -> None:
    with inside(tmp_path, worker=FailedWorker()) as receiver:
        answer = get(receiver.port, "/readyz")
        assert (answer.status, answer.json()["worker"]) == (200, FailedWorker().trouble)
        metrics = get(receiver.port, "/metrics").body.decode()
        assert (
            "postern_worker_trouble{trouble=\"the handler module 'shop' does not import (shop.py:3)\"} 1.0" in metrics
        )


def test_the_live_workers_are_counted_wherever_they_are(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        assert "\npostern_workers 0.0\n" in get(receiver.port, "/metrics").body.decode()
        for role in ("worker", "worker", "receiver"):
            receiver.store.write_from_thread(partial(processes.register, role=role))
        assert "\npostern_workers 2.0\n" in get(receiver.port, "/metrics").body.decode()


def test_while_it_drains_it_is_not_ready(tmp_path: Path) -> None:
    settings = load(environ={"POSTERN_STORE__URL": f"sqlite:///{tmp_path}/postern.db"})
    store = open_store(settings.store.url, create=True)
    apps = create_app(settings, store, {}, Metrics())
    with listen(apps.public, Limits()) as port:
        assert get(port, "/readyz").status == 200
        apps.drain()
        answer = get(port, "/readyz")
        assert (answer.status, answer.json()["store"]) == (503, "draining")
    store.close()


def test_metrics_count_what_came(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        body = sender.stripe_event("evt_1")
        for headers in (sender.stripe(body), sender.stripe(body), []):
            post(receiver.port, PATH, body, headers)
        answer = get(receiver.port, "/metrics")
        text = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'postern_events_total{source="stripe",status="accepted"} 1.0' in text
        assert 'postern_events_total{source="stripe",status="duplicate"} 1.0' in text
        assert 'postern_refused_total{code="signature_missing",source="stripe"} 1.0' in text
        assert 'postern_runs{state="unrouted"} 1.0' in text


def test_metrics_are_there_while_the_store_cannot_be_read(tmp_path: Path) -> None:
    with inside(tmp_path) as receiver:
        post(receiver.port, PATH, b"{}", [])
        receiver.file.rename(tmp_path / "away.db")
        answer = get(receiver.port, "/metrics")
        assert answer.status == 200
        assert b"postern_refused_total" in answer.body
        assert not receiver.file.exists()  # looking must not make a new, empty store
        (tmp_path / "away.db").rename(receiver.file)


def test_a_probe_that_fails_in_a_new_way_is_still_our_trouble_and_no_500(tmp_path: Path) -> None:
    class Broken(Metrics):
        def text(self) -> bytes:
            raise RuntimeError("a surprise")

    store = open_store(f"sqlite:///{tmp_path}/postern.db", create=True)
    with listen(create_app(load(environ={}), store, {}, Broken()).public, Limits()) as port:
        answer = get(port, "/metrics")
        assert (answer.status, answer.code) == (503, "internal")
    store.close()
