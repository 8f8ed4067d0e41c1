"""`postern worker` with real processes: who dies is replaced, who is told to stop drains, and nobody is left behind."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from receiver.store import Store, intake, open_store
from tests.conformance.conftest import make_tables
from tests.support import services
from tests.support.postern import PosternWorker, hung_up_at_its_start, is_alive, working, write_project
from tests.support.rows import count, rows
from tests.support.servers import free_port
from tests.support.services import new_redis
from tests.support.stores import arrival, new_file
from tests.support.until import until

ALL_OVER_S = 12.0
WAITS_FOR_GO = """
import time
from pathlib import Path
from processors import on

@on("stripe", "*")
def wait_for_go(event, ctx):
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.02)
"""
DIES_AT_IMPORT = "import os\nos._exit(3)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project with an empty store, and a queue of its own."""
    with new_redis() as url:
        write_project(tmp_path, f'[queue]\nurl = "{url}"\n', WAITS_FOR_GO)
        new_file(tmp_path)
        yield tmp_path


def put(folder: Path) -> None:
    """Store an event, and tell nobody: whoever works finds it."""
    store: Store = open_store(f"sqlite:///{folder}/postern.db")
    store.write_from_thread(lambda tx: intake.add(tx, [arrival("evt_1")]))
    store.close()


def put_in_flight(folder: Path) -> None:
    put(folder)
    until((folder / "begun").exists, what="the attempt to begin")


def run(folder: Path) -> list[tuple[Any, ...]]:
    return rows(folder / "postern.db", "SELECT state, attempts FROM run")


def told(worker: PosternWorker, text: str) -> list[dict[str, Any]]:
    return [line for line in worker.lines() if text in line["message"]]


def send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        assert pid > 1
        os.kill(pid, number)


def gone(pids: set[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


# ── who dies is replaced ──


def test_a_killed_child_is_replaced_and_its_neighbour_stays(folder: Path) -> None:
    with working(folder, processes=2) as worker:
        killed, neighbour = worker.working()
        send({killed}, signal.SIGKILL)
        until(lambda: len(worker.working() - {killed}) == 2, what="another one")
        assert neighbour in worker.working()
        [line] = told(worker, f"worker process {killed} ended")
        assert (line["message"].rpartition(": ")[2], line["next_in_s"]) == ("signal 9", 0.0)


def test_children_that_die_young_are_replaced_ever_more_slowly_until_one_lives(folder: Path) -> None:
    (folder / "handlers.py").write_text(DIES_AT_IMPORT)
    worker = PosternWorker(folder, {})
    try:
        until(lambda: len(told(worker, "ended: exit code 3")) >= 3, what="the third death")
        assert [line["next_in_s"] for line in told(worker, "ended")[:3]] == [0.0, 0.5, 1.0]
        (folder / "handlers.py").write_text(WAITS_FOR_GO)
        worker.ready()
        assert worker.stop() == 0
    finally:
        worker.kill()


def test_a_child_that_cannot_be_started_is_tried_again_until_it_can(folder: Path) -> None:
    with working(folder) as worker:
        before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        send(worker.children(), signal.SIGKILL)
        until(lambda: len(told(worker, "could not be started: Too many open files")) >= 2, what="two tries")
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)
        worker.ready()


def test_a_child_that_finds_no_store_is_tried_again_until_there_is_one(folder: Path) -> None:
    with working(folder) as worker:
        away = [(file, file.with_name(f"away-{file.name}")) for file in folder.glob("postern.db*")]
        for file, there in away:
            file.rename(there)
        send(worker.children(), signal.SIGKILL)
        until(lambda: len(told(worker, "there is no store yet")) >= 2, what="two tries")
        for file, there in away:
            there.rename(file)
        worker.ready()


# ── who is told to stop drains ──


def test_a_run_in_flight_is_finished_before_the_end(folder: Path) -> None:
    with working(folder, processes=2) as worker:
        put_in_flight(folder)
        children = worker.children()
        worker.signal(signal.SIGTERM)
        until(lambda: told(worker, "draining"), what="the drain")
        (folder / "go").touch()
        assert worker.wait() == 0
        assert gone(children)
        assert run(folder) == [("succeeded", 1)]
        assert count(folder / "postern.db", "process", "stopped_at IS NULL") == 0


def test_a_run_that_takes_too_long_is_given_back_in_time(folder: Path) -> None:
    with working(folder) as worker:
        put_in_flight(folder)
        begins = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - begins < ALL_OVER_S
        assert run(folder) == [("waiting", 1)]


def test_a_child_that_cannot_end_is_killed_in_time_and_told_by_the_exit_code(folder: Path) -> None:
    worker = PosternWorker(folder, {}, processes=2)
    try:
        children = worker.ready().children()
        send({min(children)}, signal.SIGSTOP)
        begins = time.monotonic()
        assert worker.stop() == 1
        assert time.monotonic() - begins < ALL_OVER_S
        assert gone(children)
    finally:
        worker.kill()


def test_a_signal_to_the_whole_group_is_one_signal(folder: Path) -> None:
    with working(folder) as worker:  # Ctrl-C at a terminal, and service managers
        put_in_flight(folder)
        send(worker.children(), signal.SIGINT)
        worker.signal(signal.SIGINT)
        until(lambda: told(worker, "draining"), what="the drain")
        (folder / "go").touch()
        assert worker.wait() == 0
        assert run(folder) == [("succeeded", 1)]


def test_a_second_signal_ends_all_at_once(folder: Path) -> None:
    worker = PosternWorker(folder, {}, processes=2)
    try:
        children = worker.ready().children()
        put_in_flight(folder)
        worker.signal(signal.SIGTERM)
        until(lambda: told(worker, "draining"), what="the drain")
        worker.signal(signal.SIGTERM)
        assert worker.wait(2) == 128 + signal.SIGTERM
        assert told(worker, "ended at once: runs in work are taken over when their lease runs out")
        until(lambda: gone(children), 2, "the end of the children")
        assert run(folder) == [("running", 1)]
    finally:
        worker.kill()


def test_children_whose_supervisor_is_killed_finish_their_runs_and_end(folder: Path) -> None:
    worker = PosternWorker(folder, {}, processes=2)
    try:
        children = worker.ready().children()
        put_in_flight(folder)
        worker.kill()
        (folder / "go").touch()
        until(lambda: gone(children), ALL_OVER_S, "the end of the children")
        assert len(told(worker, "draining: the supervisor has ended")) == 2
        assert run(folder) == [("succeeded", 1)]
        assert count(folder / "postern.db", "process", "stopped_at IS NULL") == 0
    finally:
        worker.kill()


# ── what it starts with ──


def test_each_worker_says_with_what_it_starts(folder: Path) -> None:
    queue = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with working(folder, {"POSTERN_QUEUE__URL": queue}) as worker:
        [line] = told(worker, "starting")
        store = f"sqlite:///{folder}/postern.db"
        shown = (store, queue.replace("secret", "…"), 1)
        assert (line["store"], line["queue"], line["handler_modules"]) == shown


def test_at_sighup_each_worker_reads_the_configuration_again_and_keeps_the_old_one_if_that_is_bad(folder: Path) -> None:
    config = (folder / "postern.toml").read_text()
    with working(folder, processes=2) as worker:
        (folder / "postern.toml").write_text("[sevrer]\n" + config)
        worker.signal(signal.SIGHUP)
        bad = f"the new configuration is bad, and the old one stays: {folder}/postern.toml:1: unknown table [sevrer]"
        until(lambda: len(told(worker, bad)) == 2, what="both to refuse it")
        (folder / "postern.toml").write_text(config + "[apis.ledger]\nbase_url = 'http://localhost:1'\n")
        worker.signal(signal.SIGHUP)
        until(lambda: len(told(worker, "read the configuration again")) == 2, what="both to take it")
        put_in_flight(folder)
        (folder / "go").touch()
        until(lambda: run(folder) == [("succeeded", 1)], what="the run to succeed")


def test_a_sighup_that_comes_while_it_starts_waits(folder: Path) -> None:
    worker = hung_up_at_its_start(
        folder, lambda: PosternWorker(folder, {}), lambda worker: worker.signal(signal.SIGHUP)
    )
    try:
        until(lambda: told(worker, "starting"), what="a worker")
        assert worker.stop() == 0
    finally:
        worker.kill()


def test_a_store_that_may_only_be_read_stops_the_start(folder: Path) -> None:
    with services.new_postgresql_database(make_tables) as url:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(f'ALTER DATABASE "{other.info.dbname}" SET default_transaction_read_only = on')
        worker = PosternWorker(folder, {"POSTERN_STORE__URL": url})
        assert worker.wait() == 1
        *_, what, where, fix = [line["message"] for line in worker.lines()]
        assert what == "postern: the store cannot be written: cannot execute INSERT in a read-only transaction"
        assert where.startswith("  at postgresql://")
        assert fix.startswith("  Check that this user may ")


def test_a_handler_module_that_does_not_import_leaves_it_idle_and_says_why(folder: Path) -> None:
    (folder / "handlers.py").write_text("import not_there\n")
    with working(folder) as worker:
        [(trouble,)] = rows(worker.store, "SELECT trouble FROM process")
        assert "does not import" in trouble
        put(folder)
        assert run(folder) == [("waiting", 0)]


def test_without_its_broker_it_works_all_the_same(folder: Path) -> None:
    (folder / "go").touch()
    with working(folder, {"POSTERN_QUEUE__URL": f"redis://127.0.0.1:{free_port()}/0"}):
        put(folder)
        until(lambda: run(folder) == [("succeeded", 1)], what="the sweep")


def test_without_a_store_it_does_not_start(folder: Path) -> None:
    (folder / "postern.db").unlink()
    worker = PosternWorker(folder, {})
    assert worker.wait() == 1
    assert [line["message"] for line in worker.lines()][:2] == [
        "postern: there is no store yet",
        f"  at {folder}/postern.db",
    ]


def test_with_memory_it_is_refused(folder: Path) -> None:
    worker = PosternWorker(folder, {"POSTERN_QUEUE__URL": "memory://"})
    assert worker.wait() == 2
    assert [line["message"] for line in worker.lines()] == [
        "postern: with memory:// the worker is inside postern serve",
        "  at [queue] url",
        "  Type postern serve; or, for workers of their own, set it to redis://… or amqp://…",
    ]
