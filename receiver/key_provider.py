"""Keys that vendors serve: asked for when a delivery needs one, kept for a while, and never waited for long.

Which address may be asked is for the scheme to say, by a list of the vendor's own; here nothing is trusted either:
HTTPS only, no redirect is followed, little is read, and each vendor is asked for few at once and not many a minute.
That a vendor has no such key is the sender's fault; whatever else goes wrong is ours, a 503, and the vendor sends it
again.

It lives in the loop that deliveries come in by, and nothing waits here: whoever needs a key is called when there is
news of it.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from receiver.errors import UserError
from receiver.problems import Problem
from receiver.schemes import AsksVendor, Key, Refused, Wanted

if TYPE_CHECKING:
    from receiver.http import httpx

log = logging.getLogger("postern.intake")

PATIENCE_S: Final = 1.5  # vendors hang up soon after
FRESH_S: Final = 3600.0
USABLE_S: Final = 24 * 3600.0  # where the vendor cannot be asked
AGAIN_S: Final = 10.0  # after our trouble
UNKNOWN_S: Final = 60.0  # a key that a vendor does not have it may have later
MOST_BYTES: Final = 64 * 1024
MOST_ANSWERS: Final = 256
AT_ONCE: Final = 8  # of one vendor, and so is the next: what strangers can make us ask
A_MINUTE: Final = 60

Address = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor said; where it could not be asked since, why, and until when it is let alone."""

    keys: Mapping[str, Key]
    at: float
    trouble: str = ""
    until: float = -math.inf


_NOTHING: Final = Answer({}, -math.inf)


@dataclass(slots=True)
class Budget:
    """What may be asked of one vendor: another's keys are to be had whatever strangers make us ask of this one."""

    under_way: int = 0
    asked: deque[float] = field(default_factory=lambda: deque(maxlen=A_MINUTE))

    def take(self, now: float) -> bool:
        """Whether there is something left of it."""
        if self.under_way >= AT_ONCE or (len(self.asked) == A_MINUTE and now < self.asked[0] + 60):
            return False
        self.under_way += 1
        self.asked.append(now)
        return True


class Trouble(Exception):
    """Why a vendor gave no answer, in words."""


class KeyProvider:
    def __init__(
        self,
        transport: "httpx.AsyncBaseTransport | None" = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._patience_s = patience_s
        self._answers: dict[Address, Answer] = {}
        self._waiting: dict[Address, list[Callable[[], None]]] = {}
        self._budgets: defaultdict[type[AsksVendor], Budget] = defaultdict(Budget)
        self._tasks: set[asyncio.Task[Mapping[str, Key]]] = set()

    def get(self, wanted: Wanted, vendor: AsksVendor, then: Callable[[], None]) -> Key | None:
        """The key. None: it is asked for, and `then` is called, once. Errors: Refused, Problem."""
        now = self._clock()
        answer = self._answers.get((wanted.url, wanted.post), _NOTHING)
        key, age_s = answer.keys.get(wanted.name), now - answer.at
        if now < answer.until:
            return _usable(key, age_s, answer.trouble)
        if key is not None and age_s < FRESH_S:
            return key
        if key is None and age_s < UNKNOWN_S:
            raise Refused("signature_mismatch", f"its vendor has no key {wanted.name!r:.120}")
        if not self._ask(wanted, vendor, then):
            return _usable(key, age_s, "too many keys are asked for")
        return None

    def _ask(self, wanted: Wanted, vendor: AsksVendor, then: Callable[[], None]) -> bool:
        """Whether it is asked for."""
        address, budget = (wanted.url, wanted.post), self._budgets[type(vendor)]
        if address in self._waiting:
            self._waiting[address].append(then)
            return True
        if not budget.take(self._clock()):
            return False
        self._waiting[address] = [then]
        task = asyncio.get_running_loop().create_task(self._find(wanted, vendor))
        self._tasks.add(task)
        task.add_done_callback(partial(self._found, address, budget))
        return True

    async def _find(self, wanted: Wanted, vendor: AsksVendor) -> Mapping[str, Key]:
        """The keys that the vendor has. Errors: Trouble."""
        try:
            async with asyncio.timeout(self._patience_s):
                document = await self._fetch(wanted)
        except TimeoutError:
            raise Trouble(f"it took longer than {self._patience_s:g} s") from None
        try:
            served = {} if document is None else vendor.served(wanted, document)
        except ValueError as error:
            raise Trouble(f"what it answered is {error}") from None
        return dict(_keys(wanted, vendor, served))

    async def _fetch(self, wanted: Wanted) -> bytes | None:
        """None where the vendor has no such thing. Errors: Trouble, TimeoutError."""
        if not wanted.url.startswith("https://"):
            raise Trouble("its address is not https")
        # In a thread: that imports a large library, the first time, and reads certificates, every time.
        client = await asyncio.to_thread(_client, self._transport)
        method, headers = ("POST", {"content-type": "application/json"}) if wanted.post else ("GET", {})
        try:
            async with client, client.stream(method, wanted.url, content=wanted.post, headers=headers) as answer:
                if answer.status_code in (404, 410):
                    return None
                if answer.status_code != 200:
                    raise Trouble(f"it answered {answer.status_code}")
                return await _read(answer)
        except _errors() as error:
            raise Trouble(type(error).__name__) from None  # its text may repeat what is secret

    def _found(self, address: Address, budget: Budget, task: "asyncio.Task[Mapping[str, Key]]") -> None:
        self._tasks.discard(task)
        budget.under_way -= 1
        now = self._clock()
        before = self._answers.pop(address, _NOTHING)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._answers[address] = Answer(task.result(), now)
        else:
            self._answers[address] = replace(before, trouble=_told(address, error), until=now + AGAIN_S)
        if len(self._answers) > MOST_ANSWERS:  # first what strangers can fill it with
            without = (one for one, answer in self._answers.items() if not answer.keys)
            del self._answers[next(without, next(iter(self._answers)))]
        for then in self._waiting.pop(address):
            then()


def _usable(key: Key | None, age_s: float, trouble: str) -> Key:
    """The key, where its vendor cannot be asked whether it is still one. Errors: Problem."""
    if key is None or age_s > USABLE_S:
        raise Problem(503, "keys_unavailable", note=f"the vendor's keys cannot be had: {trouble}")
    return key


def _keys(wanted: Wanted, vendor: AsksVendor, served: Mapping[str, bytes]) -> Iterator[tuple[str, Key]]:
    for name, text in served.items():
        with suppress(UserError):  # a set of keys may hold some of another kind, for something else
            yield name, replace(vendor.key(wanted.url, text, wanted.url), name=name)


async def _read(answer: "httpx.Response") -> bytes:
    if "content-encoding" in answer.headers:  # not asked for, and what is packed could be of any size
        raise Trouble("it answered in an encoding")
    content = b""
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            raise Trouble(f"it answered more than {MOST_BYTES} bytes")
    return content


def _client(transport: "httpx.AsyncBaseTransport | None") -> "httpx.AsyncClient":
    from receiver.http import httpx

    headers = {"accept-encoding": "identity", "user-agent": "Postern"}
    return httpx.AsyncClient(transport=transport, follow_redirects=False, timeout=PATIENCE_S, headers=headers)


def _errors() -> tuple[type[Exception], ...]:
    from receiver.http import httpx

    return httpx.HTTPError, httpx.InvalidURL


def _told(address: Address, error: BaseException) -> str:
    host = urlsplit(address[0]).hostname
    if not isinstance(error, Trouble):
        log.error("asking a vendor for its keys failed", exc_info=error, extra={"host": host})
        return f"{host}: {type(error).__name__}"
    log.warning(
        "a vendor gave no keys: %s", error,
        extra={"host": host, "next": f"look whether this machine reaches {host}, or pin the key in the source's keys"},
    )  # fmt: skip
    return f"{host}: {error}"
