"""A whole `postern serve`: what happens to deliveries while its store is in trouble, and how it starts and ends."""

import ctypes
import hashlib
import os
import pty
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_tables
from tests.support import sender, services
from tests.support.inside import PATH, STRIPE
from tests.support.postern import REPOSITORY, Postern, hung_up_at_its_start, serving, write_project
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


NOW_RIGHT = "read the configuration again"
STAYS = "the new configuration is bad, and the old one stays"
ROTATED = """
[sources.stripe]
preset = "stripe"
secrets = ["env:SECRET"]
"""


def told(postern: Postern, text: str, times: int = 1) -> list[dict[str, Any]]:
    """The lines with this text, once there are so many."""

    def found() -> list[dict[str, Any]]:
        lines = [line for line in postern.lines() if text in line["message"]]
        return lines if len(lines) >= times else []

    return until(found, what=text)


def answered(port: int, external_id: str, secret: str) -> int:
    body = sender.stripe_event(external_id)
    return post(port, PATH, body, sender.stripe(body, secret)).status


def test_at_sighup_it_reads_its_secrets_again_and_tells_what_has_changed(tmp_path: Path) -> None:
    write_project(tmp_path, ROTATED)
    (tmp_path / ".env").write_text("SECRET=old\n")
    with serving(tmp_path) as postern:
        assert [answered(postern.port, "evt_1", secret) for secret in ("old", "new")] == [200, 401]
        (tmp_path / ".env").write_text("SECRET=new\n")
        postern.signal(signal.SIGHUP)
        [line] = told(postern, NOW_RIGHT)
        assert [answered(postern.port, "evt_2", secret) for secret in ("old", "new")] == [401, 200]
        fingerprint = hashlib.sha256(b"new").hexdigest()[:8]
        assert line["message"] == f"{NOW_RIGHT}: stripe has env:SECRET ({fingerprint})"
        postern.signal(signal.SIGHUP)
        assert told(postern, NOW_RIGHT, 2)[1]["message"] == f"{NOW_RIGHT}: no source has changed"


def test_at_sighup_sources_come_change_and_go(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE + '[sources.old]\npreset = "github"\nsecrets = ["literal:x"]\n')
    with serving(tmp_path) as postern:
        write_project(tmp_path, STRIPE + 'max_body_bytes = 10\n[sources.new]\npreset = "github"\nsecrets = []\n')
        postern.signal(signal.SIGHUP)
        [line] = told(postern, NOW_RIGHT)
        said = "new is new, with no key; old is gone; stripe has another max_body_bytes"
        assert (line["level"], line["message"]) == ("warning", f"{NOW_RIGHT}: {said}")
        assert post(postern.port, "/webhooks/old", b"{}").status == 404
        assert post(postern.port, "/webhooks/new", b"{}").status == 401
        assert deliver(postern.port, "evt_1").status == 413


@pytest.mark.parametrize(
    ("config", "what", "where"),
    [
        ("[sevrer]\n", "postern.toml:1: unknown table [sevrer]", None),
        (ROTATED.replace("SECRET", "MISSING"), "the variable MISSING is not set", "[sources.stripe] secrets[0]"),
        (STRIPE + 'scheme = "os:getcwd"\n', "the scheme os:getcwd cannot be made", "[sources.stripe] scheme"),
    ],
)
def test_at_sighup_a_bad_configuration_is_told_and_the_old_one_stays(
    folder: Path, config: str, what: str, where: str | None
) -> None:
    with serving(folder) as postern:
        write_project(folder, config)
        postern.signal(signal.SIGHUP)
        [line] = told(postern, STAYS)
        assert (line["level"], line.get("where")) == ("error", where)
        assert what in line["message"]
        assert line["next"].endswith(". Then send SIGHUP again")
        assert deliver(postern.port, "evt_1").status == 200
        until(lambda: what in str(trouble(postern)), what="the trouble in the store")
        write_project(folder, STRIPE)
        postern.signal(signal.SIGHUP)
        told(postern, NOW_RIGHT)
        until(lambda: trouble(postern) is None, what="the end of the trouble")


def test_at_sighup_a_file_that_is_missing_empty_or_cut_off_takes_no_source_away(folder: Path) -> None:
    config = folder / "postern.toml"
    with serving(folder) as postern:
        for write, what in (
            (config.unlink, f"{config} does not exist"),
            (lambda: config.write_text(""), f"no source is left ({config})"),
            (lambda: config.write_text(STRIPE.partition("secrets")[0]), f"stripe had keys and now has none ({config})"),
        ):
            write()
            postern.signal(signal.SIGHUP)
            until(lambda: what == trouble(postern), what="the trouble in the store")  # noqa: B023  at once
            assert deliver(postern.port, "evt_1").status == 200
        *_, line = told(postern, STAYS, 3)
        assert line["next"] == (
            "Put them back; to end it, take [sources.stripe] out wholly; or, if that is meant, restart."
            " Then send SIGHUP again"
        )


def test_a_sighup_that_comes_while_it_starts_waits(folder: Path) -> None:
    postern = hung_up_at_its_start(folder, lambda: Postern(folder, {}), lambda postern: postern.signal(signal.SIGHUP))
    try:
        told(postern.ready(), NOW_RIGHT)
        assert postern.stop() == 0
    finally:
        postern.kill()


def trouble(postern: Postern) -> str | None:
    [(found,)] = rows(postern.store, "SELECT trouble FROM process WHERE role = 'receiver'")
    return None if found is None else str(found)


def test_at_sighup_what_needs_a_restart_is_named(folder: Path) -> None:
    with serving(folder) as postern:
        write_project(folder, STRIPE + "[worker]\nlease_s = 7\n[handlers]\nmodules = []\n")
        for times in (1, 2):  # told each time, as long as it is so
            postern.signal(signal.SIGHUP)
            told(postern, NOW_RIGHT, times)
        lines = [line["message"] for line in postern.lines() if line["level"] == "warning"]
        assert lines == ["[worker] is not as it was at the start: that counts after a restart"] * 2


def test_deliveries_go_on_while_it_reads_its_configuration_again(folder: Path) -> None:
    with serving(folder) as postern:
        for number in range(60):
            if number % 10 == 0:
                postern.signal(signal.SIGHUP)
            assert deliver(postern.port, f"evt_{number}").status == 200
        told(postern, NOW_RIGHT)


def test_a_handler_gets_an_api_s_new_secret_after_sighup(tmp_path: Path) -> None:
    handlers = """
from processors import on

@on("stripe", "*")
async def book(event, ctx):
    ctx.api("ledger")
"""
    config = STRIPE + '[apis.ledger]\nbase_url = "http://localhost:1"\nauth = {type = "bearer", token = "env:TOKEN"}\n'
    write_project(tmp_path, config, handlers)
    with serving(tmp_path) as postern:
        deliver(postern.port, "evt_1")
        until(lambda: count(postern.store, "run", "code = 'missing_secret'") == 1, what="a run without its secret")
        (tmp_path / ".env").write_text("TOKEN=there\n")
        postern.signal(signal.SIGHUP)
        told(postern, NOW_RIGHT)
        deliver(postern.port, "evt_2")
        until(lambda: count(postern.store, "run", "state = 'succeeded'") == 1, what="a run with its secret")


def serve_at(terminal: int, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "receiver", "serve", "--port", "0"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, cwd=folder, stderr=terminal, env=environ)
    os.close(terminal)
    return process


def test_when_its_terminal_goes_while_it_starts_it_ends(folder: Path) -> None:
    ours, its = pty.openpty()

    def hang_up(process: "subprocess.Popen[bytes]") -> None:
        os.close(ours)
        process.send_signal(signal.SIGHUP)

    process = hung_up_at_its_start(folder, lambda: serve_at(its, folder), hang_up)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_when_its_terminal_goes_it_ends(folder: Path) -> None:
    ours, its = pty.openpty()
    process = serve_at(its, folder)
    try:
        seen = b""
        while b"listening on" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGHUP)
        while b"read the configuration again" not in seen:  # it is there still: that was for the configuration
            seen += os.read(ours, 4096)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


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
