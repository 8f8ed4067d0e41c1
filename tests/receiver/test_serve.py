"""A whole `postern serve`: what happens to deliveries while its store is in trouble, and how it starts and ends."""

import ctypes
import os
import resource
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.conftest import make_tables
from tests.support import sender, services
from tests.support.inside import PATH, STRIPE
from tests.support.postern import Postern, serving, write_project
from tests.support.rows import count, rows
from tests.support.servers import PostgresqlServer
from tests.support.until import until
from tests.support.wire import Answer, get, post

CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
libc = ctypes.CDLL(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path, STRIPE)
    return tmp_path


def deliver(port: int, external_id: str, size: int = 0) -> Answer:
    body = sender.stripe_event(external_id, text="x" * size)
    return post(port, PATH, body, sender.stripe(body))


def assert_told_to_come_again(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "store_unavailable"), answer
    assert int(answer.headers["retry-after"]) > 0
    assert not answer.closes


def test_a_locked_store_is_a_503_within_two_seconds_and_over_when_the_lock_is(folder: Path) -> None:
    with serving(folder) as postern:
        port = postern.port
        assert deliver(port, "evt_before").status == 200
        with closing(sqlite3.connect(postern.store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(2):
                started = time.monotonic()
                assert_told_to_come_again(deliver(port, f"evt_locked_{number}"))
                assert time.monotonic() - started < 2
        assert deliver(port, "evt_after").status == 200
        assert deliver(port, "evt_locked_0").json()["status"] == "accepted"


def test_a_full_disk_is_a_503_and_over_when_there_is_room(folder: Path) -> None:
    with serving(folder) as postern:
        port = postern.port
        assert deliver(port, "evt_before").status == 200
        log_bytes = Path(f"{postern.store}-wal").stat().st_size
        limits = resource.prlimit(postern.pid, resource.RLIMIT_FSIZE, (log_bytes + 20_000, resource.RLIM_INFINITY))
        assert_told_to_come_again(deliver(port, "evt_full", size=100_000))
        assert count(postern.store, "event", "external_id = 'evt_full'") == 0
        resource.prlimit(postern.pid, resource.RLIMIT_FSIZE, limits)
        assert deliver(port, "evt_full", size=100_000).json()["status"] == "accepted"


def test_a_store_that_may_not_be_written_is_a_503_and_over_when_it_may(folder: Path) -> None:
    with serving(folder, before_exec=without_root_s_privilege) as postern:
        port = postern.port
        assert deliver(port, "evt_before").status == 200
        put_in_place(postern.store, 0o444)
        until(lambda: deliver(port, "evt_lost").status == 503, what="the server to see the other file")
        for number in range(3):
            assert_told_to_come_again(deliver(port, f"evt_read_only_{number}"))
        for file in folder.glob("postern.db*"):
            file.chmod(0o644)
        assert deliver(port, "evt_after").status == 200


def without_root_s_privilege() -> None:
    libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)  # without it, root too heeds a file's permissions


def put_in_place(store: Path, mode: int) -> None:
    """Replace a store by its copy, as somebody does who restores a backup under a running server."""
    copy = store.with_name("copy.db")
    with closing(sqlite3.connect(store)) as origin, closing(sqlite3.connect(copy)) as target:
        origin.backup(target)
    copy.chmod(mode)
    for name in ("-wal", "-shm"):
        Path(f"{store}{name}").unlink()
    copy.replace(store)


def test_a_deleted_store_is_a_503_and_not_a_silent_loss(folder: Path) -> None:
    with serving(folder) as postern:
        port = postern.port
        assert deliver(port, "evt_before").status == 200
        away = folder / "away"
        away.mkdir()
        for file in folder.glob("postern.db*"):
            shutil.move(file, away)
        until(lambda: deliver(port, "evt_lost").status == 503, 3, "the server to notice")
        for number in range(3):
            assert_told_to_come_again(deliver(port, f"evt_gone_{number}"))
        assert not postern.store.exists()  # an empty store in its place would hide the loss
        for file in away.iterdir():
            shutil.move(file, folder)
        until(lambda: deliver(port, "evt_after").status == 200, 3, "the server to find it again")
        assert {"evt_before", "evt_after"} <= {name for (name,) in rows(postern.store, "SELECT external_id FROM event")}


def test_an_outage_is_told_once_and_not_for_every_delivery(folder: Path) -> None:
    with serving(folder) as postern:
        port = postern.port
        for file in folder.glob("postern.db*"):
            file.rename(folder / f"away-{file.name}")
        until(lambda: deliver(port, "evt_lost").status == 503, 3, "the server to notice")
        for number in range(50):
            assert deliver(port, f"evt_{number}").status == 503
        told = [line for line in postern.lines() if line["level"] in ("warning", "error")]
        assert len(told) <= 4, told
        assert {line.get("next") for line in told} <= {"postern doctor", None}
        for file in folder.glob("away-*"):
            file.rename(folder / file.name.removeprefix("away-"))


def test_it_starts_on_a_store_left_behind_by_a_kill(folder: Path) -> None:
    ids = []
    for number in range(2):
        postern = Postern(folder, {})
        try:
            ids.append(deliver(postern.ready().port, f"evt_{number}").json()["id"])
        finally:
            postern.kill()
    with serving(folder) as postern:
        port = postern.port
        again = [deliver(port, f"evt_{number}").json() for number in range(2)]
        assert again == [{"id": id, "status": "duplicate"} for id in ids]
        assert rows(postern.store, "PRAGMA integrity_check") == [("ok",)]


def test_a_store_that_is_none_stops_the_start_in_three_lines(folder: Path) -> None:
    store = folder / "postern.db"
    store.write_bytes(b"this is a letter to my aunt" * 1000)
    postern = Postern(folder, {})
    assert postern.wait() == 1
    assert [line["message"] for line in postern.lines()] == [
        "postern: the store cannot be read: file is not a database",
        f"  at {store}",
        "  Check [store] url.",
    ]
    assert store.read_bytes().startswith(b"this is a letter")


def test_a_store_without_a_folder_stops_the_start_in_three_lines(folder: Path) -> None:
    postern = Postern(folder, {"POSTERN_STORE__URL": "sqlite:///nowhere/postern.db"})
    assert postern.wait() == 1
    assert [line["message"] for line in postern.lines()] == [
        "postern: the store cannot be written: unable to open database file",
        f"  at {folder}/nowhere/postern.db",
        "  Check that the folder exists, may be written and has room.",
    ]


def test_a_store_that_is_locked_stops_the_start_in_three_lines(folder: Path) -> None:
    with serving(folder) as postern:
        pass
    told = len(postern.lines())
    with closing(sqlite3.connect(postern.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        again = Postern(folder, {})
        assert again.wait() == 1
    printed = [line["message"] for line in again.lines()[told:] if line["message"].startswith(("postern: ", "  "))]
    assert printed[:2] == ["postern: the store cannot be written: database is locked", f"  at {postern.store}"]
    assert len(printed) == 3


def test_a_database_that_stands_still_does_not_keep_the_process(folder: Path) -> None:
    with services.installed(PostgresqlServer) as server:
        make_tables(server.url)
        postern = Postern(folder, {"POSTERN_STORE__URL": server.url})
        frozen: list[int] = []
        try:
            postern.ready()
            found = rows(server.url, "SELECT pid FROM pg_stat_activity WHERE application_name = 'postern'")
            frozen += [pid for (pid,) in found if pid > 1]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            started = time.monotonic()
            assert postern.stop() == 1
            assert time.monotonic() - started < 12
            assert "the store does not answer" in postern.lines()[-1]["message"]
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
            postern.kill()


def test_two_servers_on_one_store_share_its_events(folder: Path) -> None:
    with serving(folder) as first, serving(folder) as second:
        ids = [deliver(server.port, "evt_shared").json() for server in (first, second, first)]
        assert [answer["status"] for answer in ids] == ["accepted", "duplicate", "duplicate"]
        assert len({answer["id"] for answer in ids}) == 1
        alive = "role = 'receiver' AND stopped_at IS NULL"
        assert count(first.store, "process", alive) == 2
    assert count(folder / "postern.db", "process", alive) == 0


BLOCKS = """
import time
from pathlib import Path
while not Path("go").exists():
    time.sleep(0.02)
"""
FAILS_TO_STOP = """
import threading
import dramatiq

def stop(worker):
    raise SystemExit("a surprise")

dramatiq.Worker.stop = stop
threading.Thread(target=threading.Event().wait).start()
"""


def worker(postern: Postern) -> str:
    return str(get(postern.port, "/readyz").json()["worker"])


def test_a_handler_module_that_blocks_at_import_does_not_hold_up_intake(folder: Path) -> None:
    write_project(folder, STRIPE, BLOCKS)
    with serving(folder) as postern:
        assert worker(postern) == "starting"
        assert deliver(postern.port, "evt_meanwhile").status == 200
        (folder / "go").touch()
        until(lambda: worker(postern) == "ok", what="the worker")


def test_a_handler_module_that_never_ends_its_import_does_not_keep_the_process(folder: Path) -> None:
    write_project(folder, STRIPE, BLOCKS)
    with serving(folder) as postern:
        assert worker(postern) == "starting"
    assert postern.lines()[-1]["message"] == "stopped"


def test_a_worker_that_cannot_be_started_is_trouble_and_intake_goes_on(folder: Path) -> None:
    write_project(folder, STRIPE, "import dramatiq\ndel dramatiq.Worker\n")
    with serving(folder) as postern:
        until(lambda: "did not start: AttributeError" in worker(postern), what="the trouble")
        assert deliver(postern.port, "evt_1").status == 200


def test_a_stop_that_fails_half_way_still_ends_the_process_and_stops_the_rest(folder: Path) -> None:
    write_project(folder, STRIPE, FAILS_TO_STOP)
    postern = Postern(folder, {})
    try:
        postern.ready()
        until(lambda: worker(postern) == "ok", what="the worker")
        assert postern.stop() == 1
        assert count(postern.store, "process", "role = 'receiver' AND stopped_at IS NULL") == 0
    finally:
        postern.kill()
