"""PostgreSQL, Redis and RabbitMQ as servers of a test's own. Those that tests share are in `services`."""

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from glob import glob
from pathlib import Path

import pika
import pika.exceptions
import psycopg
import redis

from tests.support.server import Server, free_port

__all__ = ["Missing", "PostgresqlServer", "RabbitmqServer", "RedisServer", "Server", "free_port"]

POSTGRESQL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
# Debian's and Fedora's command on the PATH changes the user and the folder; the real one lies here.
RABBITMQ_PLACES = ("/usr/lib/rabbitmq/bin",)


class Missing(Exception):
    """A program is not installed. The text says how it gets here."""


def program(name: str, package: str, folders: Sequence[str]) -> Path:
    """The first of this name in the folders."""
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise Missing(f"{name} is not installed; on Debian and Ubuntu: sudo apt-get install {package}")
    return Path(found)


def on_path() -> list[str]:
    return os.get_exec_path()


def newest_first(patterns: Sequence[str]) -> list[str]:
    """The folders there are, of each pattern the highest version first."""
    return [folder for pattern in patterns for folder in sorted(glob(pattern), key=_version, reverse=True)]


def _version(folder: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder)]


def unprivileged() -> str:
    """Whoever runs PostgreSQL where the tests run as root, which it refuses."""
    names = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


class PostgresqlServer(Server):
    stops_on = signal.SIGINT  # "fast": it does not wait for clients
    user = None if os.geteuid() else unprivileged()

    def __init__(self, *, fsync: bool = True, options: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._postgres = program("postgres", "postgresql", [*on_path(), *newest_first(POSTGRESQL_PLACES)])
        self._options = {
            "fsync": "on" if fsync else "off",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a temporary folder's path may be longer than a socket's may be
            "max_connections": "200",
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in the folder, so that a kill leaves nothing in /dev/shm
            **(options or {}),
        }

    @property
    def url(self) -> str:
        return f"postgresql://postern@127.0.0.1:{self.port}/postgres"

    def _prepare(self) -> None:
        initdb = [str(self._postgres.resolve().with_name("initdb")), "--pgdata=data", "--username=postern"]
        subprocess.run(
            [*initdb, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"], check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **self._surroundings(),
        )  # fmt: skip

    def _command(self) -> Sequence[str | Path]:
        options = [f"--{name}={value}" for name, value in {**self._options, "port": str(self.port)}.items()]
        return [self._postgres, "-D", "data", *options]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class RedisServer(Server):
    """It keeps nothing: after a kill it is empty."""

    DATABASES = 256

    def __init__(self) -> None:
        super().__init__()
        self._redis = program("redis-server", "redis-server", on_path())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str | Path]:
        nothing_kept = ["--save", "", "--appendonly", "no"]
        here = ["--bind", "127.0.0.1", "--port", str(self.port), "--databases", str(self.DATABASES)]
        return [self._redis, *here, *nothing_kept]

    def _answers(self) -> bool:
        try:
            with closing(redis.Redis.from_url(self.url, socket_timeout=2)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class RabbitmqServer(Server):
    """A node without plugins, and its own epmd, which tells nodes each other's ports."""

    def __init__(self) -> None:
        super().__init__()
        self._rabbitmq = program("rabbitmq-server", "rabbitmq-server", [*newest_first(RABBITMQ_PLACES), *on_path()])
        self._epmd = program("epmd", "rabbitmq-server", on_path())
        self._epmd_port, self._distribution_port = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def _prepare(self) -> None:
        (self.folder / "empty.conf").touch()
        (self.folder / "empty.config").write_text("[].")

    def _command(self) -> Sequence[str | Path]:
        # With an epmd already there, Erlang starts none that outlives it.
        return ["sh", "-c", '"$0" & exec "$1"', str(self._epmd), str(self._rabbitmq)]

    def _environ(self) -> Mapping[str, str]:
        erlang = "+S 1:1 +A 8 -kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"postern-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "empty.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "empty.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "empty.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "empty.config"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
        }

    def _answers(self) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True
