"""The servers that crash tests kill: they are really gone, and really back."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support.server import Server, _children, free_port
from tests.support.servers import Missing, PostgresqlServer, RabbitmqServer, RedisServer, newest_first, program
from tests.support.services import installed
from tests.support.until import until

ROOT = Path(__file__).parents[2]
DIES = """
import os, signal, sys
from tests.support import servers
server = getattr(servers, sys.argv[1])().__enter__()
print(server.port, server.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lives(pid: int) -> bool:
    """A zombie that nobody buries does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def descendants(pid: int) -> set[int]:
    return {pid}.union(*(descendants(child) for child in _children(pid)))


@pytest.mark.parametrize("kind", [PostgresqlServer, RedisServer, RabbitmqServer])
def test_a_killed_server_is_gone_with_all_its_processes_and_starts_again_where_it_was(
    kind: Callable[[], Server],
) -> None:
    with installed(kind) as server:
        port, processes = server.port, descendants(server.pid)
        server.kill()
        assert not [pid for pid in processes if lives(pid)]
        assert not listens(port)
        server.start()
        assert listens(port)
        assert server.pid not in processes
    assert not listens(port)
    assert not server.folder.exists()


def test_what_postgresql_committed_outlives_its_kill_and_who_was_at_work_does_not() -> None:
    with installed(PostgresqlServer) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        with closing(psycopg.connect(server.url)) as working:
            backend = working.info.backend_pid
            broken = threading.Thread(target=fails, args=(working, "INSERT INTO kept SELECT 2 FROM pg_sleep(60)"))
            broken.start()
            until(lambda: is_active(server.url, backend), what="the statement's start")
            server.kill()
            broken.join(5)
            assert not broken.is_alive()
        assert not lives(backend)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]


def fails(connection: "psycopg.Connection[tuple[object, ...]]", statement: str) -> None:
    with suppress(psycopg.OperationalError):
        connection.execute(statement)


def is_active(url: str, backend: int) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND query LIKE '%%INTO kept%%'", [backend]
        )
        return found.fetchone() is not None


def test_postgresql_writes_to_the_disk_unless_it_is_told_not_to() -> None:
    with installed(PostgresqlServer) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    other = installed(lambda: PostgresqlServer(fsync=False, options={"work_mem": "7MB"}))
    with other as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)


def test_a_killed_redis_has_forgotten_all() -> None:
    with installed(RedisServer) as server, closing(redis.Redis.from_url(server.url)) as client:
        client.set("kept", "no")
        server.kill()
        server.start()
        assert not client.exists("kept")


def test_a_stopped_server_ended_by_itself_and_can_be_stopped_twice() -> None:
    with installed(PostgresqlServer) as server:
        server.restart()
        server.stop()
        server.stop()
        assert "database system is shut down" in server.log.read_text()


@pytest.mark.parametrize("kind", [PostgresqlServer, RedisServer])
def test_a_server_ends_with_its_test_process_even_if_that_is_killed(kind: type[Server]) -> None:
    installed(kind)
    died = subprocess.run(
        [sys.executable, "-c", DIES, kind.__name__], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    port, folder = died.stdout.split()
    until(lambda: not listens(int(port)), what="the server's end")
    until(lambda: not Path(folder).exists(), what="its folder's end")


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    server = installed(lambda: PostgresqlServer(options={"shared_buffers": "a lot"}))
    with pytest.raises(AssertionError, match="shared_buffers"), server:
        pass
    assert not server.folder.exists()


def test_a_port_is_free_and_none_that_the_system_gives_to_clients() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    port = free_port()
    assert not listens(port)
    assert not lowest <= port <= highest


def test_a_program_is_found_in_the_newest_folder_or_missing_with_what_to_install(tmp_path: Path) -> None:
    for version in ("9", "15"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "postgres").touch(0o755)
    folders = newest_first([f"{tmp_path}/none-*", f"{tmp_path}/*"])
    assert program("postgres", "postgresql", folders) == tmp_path / "15" / "postgres"
    with pytest.raises(Missing, match=r"initdb is not installed.*apt-get install postgresql"):
        program("initdb", "postgresql", folders)
