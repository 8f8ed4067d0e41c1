"""The same inputs over real sockets: slower, and with whatever a socket adds. Every connection ends by itself."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.store.ids import text
from receiver.wellformed import Limits
from tests.chaos.clock import standing_still
from tests.fuzz.gate import CONFIGURATION, NO_EVENT, overheard
from tests.fuzz.inputs import AT
from tests.fuzz.judge import complaints
from tests.support.inside import inside
from tests.support.rows import rows

SHORT = Limits(idle_s=0.5, headers_s=1.0, body_s=1.0)
AT_ONCE = 100
ENDS_S = 60.0  # by which a connection has ended: no measure of anything, for the machine may be busy


def converse(inputs: Sequence[Sequence[bytes]]) -> list[list[str]]:
    """What there is to say of each input, and at last of all together."""
    with (
        standing_still(AT),
        TemporaryDirectory(prefix="postern-fuzz-") as folder,
        overheard() as said,
        inside(Path(folder), CONFIGURATION, limits=SHORT) as receiver,
    ):
        outcomes = asyncio.run(_all(receiver.port, inputs))
        events = rows(receiver.file, "SELECT id, source, external_id FROM event")
    stored = {text("ev", id): (source, external_id) for id, source, external_id in events}
    judged = []
    for pieces, written in zip(inputs, outcomes, strict=True):
        if written is None:
            judged.append(["the connection does not end"])
        else:
            found = complaints(b"".join(pieces), written, False, lambda id: stored.get(id, NO_EVENT))
            judged.append(list(found))
    return [*judged, said]


async def _all(port: int, inputs: Sequence[Sequence[bytes]]) -> list[bytes | None]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(pieces: Sequence[bytes]) -> bytes | None:
        async with room:
            return await _one(port, pieces)

    return await asyncio.gather(*map(one, inputs))


async def _one(port: int, pieces: Sequence[bytes]) -> bytes | None:
    """What was written until the connection ended; None if it did not end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send(writer, pieces))
    written = b""
    try:
        async with asyncio.timeout(ENDS_S):
            with suppress(ConnectionError):
                while more := await reader.read(65536):
                    written += more
            return written
    except TimeoutError:
        return None
    finally:
        sending.cancel()
        writer.close()


async def _send(writer: asyncio.StreamWriter, pieces: Sequence[bytes]) -> None:
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)  # so that pieces arrive as such
