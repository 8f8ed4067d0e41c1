"""Fetching the address that a handshake has to have fetched, behind the answer that has been given.

Which address may be fetched is for the scheme to say, from a signed request and by a list of the vendor's hosts: here
nothing is trusted either. Few at once, none for long, no redirect is followed, and what is answered is not read.
"""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from receiver.http import httpx

log = logging.getLogger("postern.intake")

AT_ONCE: Final = 8
PATIENCE_S: Final = 10.0
PAUSES_S: Final = (0.0, 2.0, 10.0)  # before each try
AGAIN: Final = "ask the vendor for a new confirmation"


class Callbacks:
    def __init__(
        self, transport: "httpx.AsyncBaseTransport | None" = None, pauses_s: tuple[float, ...] = PAUSES_S
    ) -> None:
        self._transport = transport
        self._pauses_s = pauses_s
        self._under_way: set[asyncio.Task[str]] = set()

    def fetch(self, source: str, url: str) -> None:
        """Soon, in the running loop; the log tells how it went."""
        extra = {
            "source": source,
            "host": urlsplit(url).hostname,
        }  # its query is the vendor's word to us, and no one else's
        if len(self._under_way) >= AT_ONCE:
            log.warning("a handshake was not confirmed: too many at once", extra={**extra, "next": AGAIN})
            return
        task = asyncio.get_running_loop().create_task(self._try(url))
        self._under_way.add(task)
        task.add_done_callback(partial(self._ended, extra))

    async def _try(self, url: str) -> str:
        """What went wrong the last time, or nothing."""
        trouble = ""
        for pause_s in self._pauses_s:
            await asyncio.sleep(pause_s)
            if not (trouble := await self._get(url)):
                break
        return trouble

    async def _get(self, url: str) -> str:
        from receiver.http import httpx  # here: most sources never need it

        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                httpx.AsyncClient(transport=self._transport, follow_redirects=False, timeout=PATIENCE_S) as client,
                client.stream("GET", url) as answer,
            ):
                return "" if answer.is_success else f"it answered {answer.status_code}"
        except TimeoutError:
            return f"it took longer than {PATIENCE_S:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__  # its text may repeat the address

    def _ended(self, extra: dict[str, str | None], task: "asyncio.Task[str]") -> None:
        self._under_way.discard(task)
        if task.cancelled():
            return
        if task.exception() is not None:
            log.error("a handshake was not confirmed", exc_info=task.exception(), extra={**extra, "next": AGAIN})
        elif trouble := task.result():
            log.warning("a handshake was not confirmed: %s", trouble, extra={**extra, "next": AGAIN})
        else:
            log.info("a handshake was confirmed", extra=extra)
