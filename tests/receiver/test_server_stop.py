"""The end of the web server, to the moment: a connection that comes while it begins to stop."""

import asyncio
import socket
from contextlib import closing, suppress

import pytest
from starlette.applications import Starlette

from receiver import server


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_was_only_just_accepted_is_ended_with_the_others(turns: int) -> None:
    """One that nobody tells would be served on, until the grace is over and its next request is cut off."""

    async def stop_right_after_a_connect() -> None:
        listener = server.bind("127.0.0.1", 0)
        serving = server.server(Starlette(), ())
        serving.config.load()
        serving.lifespan = serving.config.lifespan_class(serving.config)
        await serving.startup([listener])
        with closing(socket.create_connection(listener.getsockname())) as client:
            for _ in range(turns):  # of the event loop, in each of which it comes a step further
                await asyncio.sleep(0)
            async with asyncio.timeout(server.GRACE_S / 2):
                await serving.shutdown()
                client.setblocking(False)
                with suppress(ConnectionResetError):  # it was not accepted at all
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""

    asyncio.run(stop_right_after_a_connect())
