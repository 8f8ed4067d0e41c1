"""The servers: uvicorn with our own connections, draining at a signal, and an exit code of 0 after a clean stop.

uvicorn raises the signal that stopped it again, and ends at once when its grace is over. What happens on a connection
stands in `connection.py`.
"""

import asyncio
import functools
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from receiver.connection import Connection
from receiver.door import LINGER_S, Door
from receiver.errors import UserError
from receiver.ingest import Intake
from receiver.wellformed import Limits

GRACE_S = 3
BACKLOG = 2048
ACCEPTED_AT_ONCE = 32  # in one turn of the loop: asyncio's default is the whole backlog, and each may be one too many
SPARE_FILES = 300  # the store's, the broker's, those of handlers, and of connections that are told of too many
JUST_ACCEPTED_S = 0.02  # until such a connection is one of those that uvicorn asks to end


class Server(uvicorn.Server):
    """Stops cleanly at the first SIGTERM or SIGINT and exits 0; at the second it ends at once."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio has just made it as short as what it accepts at once
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        for each in self.servers:
            for listener in each.sockets:  # accept no more; to close it now would lose who is just being accepted
                asyncio.get_running_loop().remove_reader(listener)
        await asyncio.sleep(JUST_ACCEPTED_S)
        await super().shutdown(sockets)
        await self._say_last_words()

    async def _say_last_words(self) -> None:
        """What was cut short at the end of the grace is answered, and whoever sent it has time to read that."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + LINGER_S
        while self.server_state.connections and loop.time() < give_up_at:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.02)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + number)
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Errors: UserError where the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming TCP matters: asyncio turns Nagle off only on sockets that say so, and answers would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "[server] host and port",
            f"Stop what uses it, or choose another: postern serve --port {port + 1 if port else 8001}",
        ) from error
    return listener


def room_for(connections: int) -> int:
    """How many of them may be open at once. Each is a file, and the usual limit of 1,024 may mostly be raised."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if resource.RLIM_INFINITY != files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return connections if files == resource.RLIM_INFINITY else max(1, min(connections, files - SPARE_FILES))


def _nothing(*_: object) -> None:
    """For callers who need no word of it."""


def server(
    app: ASGIApp,
    trusted_proxies: Sequence[str],
    limits: Limits | None = None,
    *,
    intake: Intake | None = None,
    on_refused: Callable[[str], None] = _nothing,
    on_start: Callable[[], None] = _nothing,
    on_stop: Callable[[], None] = _nothing,
) -> Server:
    """Deliveries go to `intake`, all else to `app`; without it all does.

    `on_refused` hears the code of what was refused before it was a request, `on_start` that a request is
    answered and a signal heeded from now on, `on_stop` that draining begins.
    """
    proxied = ProxyHeadersMiddleware(app, list(trusted_proxies))  # type: ignore[arg-type]  # uvicorn's own ASGI types
    protocol = functools.partial(
        Connection, door=Door(intake) if intake else None, is_proxy=proxied.trusted_hosts.__contains__,
        limits=limits or Limits(connections=room_for(Limits.connections)), on_refused=on_refused,
    )  # fmt: skip
    config = uvicorn.Config(
        proxied if trusted_proxies else app, http=protocol,  # type: ignore[arg-type]  # only ever called
        ws="none", lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        backlog=ACCEPTED_AT_ONCE, timeout_graceful_shutdown=GRACE_S,
    )  # fmt: skip
    return Server(config, on_start, on_stop)


async def run(
    server: Server, listener: socket.socket, admin: Server | None, admin_listener: socket.socket | None
) -> None:
    """Serve until a signal comes; the admin port, if there is one, stops with the main one."""
    if admin is None or admin_listener is None:
        await server.serve(sockets=[listener])
        return
    side = asyncio.create_task(admin._serve([admin_listener]))  # without signal handlers of its own
    await server.serve(sockets=[listener])
    admin.should_exit = True
    await side
