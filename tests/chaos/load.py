"""The vendors' side of the line: clients that keep their connections, and post again whatever was not answered 2xx."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.service import Receiver
from tests.chaos.vendors import FORGERIES, Fact
from tests.chaos.wire import ABORTED, Message, message, read_message
from tests.support.sender import Pairs

CLIENTS = 24
ANSWER_S = 4.0
AGAIN_S = (0.05, 0.8)
TWICE = 0.08  # of all events are posted again although they were accepted
AT_ONCE = 0.04  # are posted by two clients at the same time
FORGED = 0.08  # are followed by a forged one


@dataclass(slots=True)
class Load:
    """`facts` are all events handed in; `wrong` is what no receiver may ever answer."""

    receiver: Receiver
    """Where they post, from now on."""
    seed: int
    facts: dict[str, Fact] = field(default_factory=dict)
    forged: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _due: "asyncio.Queue[Fact]" = field(default_factory=asyncio.Queue)
    _open: int = 0
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _chance: random.Random = field(default_factory=random.Random)
    _clients: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def __aenter__(self) -> "Load":
        self._chance = random.Random(f"load {self.seed}")
        self._clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients:
            client.cancel()
        for ended in await asyncio.gather(*self._clients, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def offer(self, facts: Sequence[Fact]) -> None:
        """Have them posted until they are accepted."""
        for fact in facts:
            self.facts[fact.external_id] = fact
            fact.repeats, fact.forged = int(self._chance.random() < TWICE), self._chance.random() < FORGED
            for _ in range(2 if self._chance.random() < AT_ONCE else 1):
                self._put(fact)

    @property
    def accepted(self) -> int:
        return sum(bool(fact.ids) for fact in self.facts.values())

    async def accepted_all(self, within_s: float) -> bool:
        """Wait until every event offered so far has its 2xx."""
        return await self._until(lambda: not self._open, within_s)

    async def accepted_some(self, count: int, within_s: float) -> bool:
        """Wait until so many events have theirs; returns right after an answer."""
        return await self._until(lambda: self.accepted >= count, within_s)

    async def _until(self, reached: Callable[[], bool], within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not reached():
                    self._answered.clear()
                    await self._answered.wait()
        return reached()

    def _put(self, fact: Fact) -> None:
        self._open += 1
        self._due.put_nowait(fact)

    async def _client(self) -> None:
        line = Line()
        try:
            while True:
                fact = await self._due.get()
                again_s = await self._post(line, fact)
                if again_s is None:
                    self._open -= 1
                    self._answered.set()
                else:
                    asyncio.get_running_loop().call_later(again_s, self._due.put_nowait, fact)
                if fact.forged:
                    fact.forged = False
                    await self._forge(line, fact)
        finally:
            line.close()

    async def _post(self, line: "Line", fact: Fact) -> float | None:
        """Post it once; the wait until the next time, None where it is accepted and not wanted again."""
        fact.posts += 1
        answer = await line.post(self.receiver.port, fact.source, fact.body, fact.headers(fact.body))
        self.answers[str(answer.status) if answer else "none"] += 1
        if answer is not None and 200 <= answer.status < 300:
            self._note(fact, answer)
            fact.repeats -= 1
            return self._wait_s() if fact.repeats >= 0 else None
        if answer is not None and answer.status != 503:  # our trouble, and there is no other
            self.wrong.append(f"{fact.external_id} was refused: {answer.status} {answer.body!r}")
        return self._wait_s()

    def _note(self, fact: Fact, answer: Message) -> None:
        said = answer.json()
        fact.ids.append(said["id"])
        self._answered.set()
        fact.accepted += said["status"] == "accepted"
        if fact.accepted > 1:
            self.wrong.append(f"{fact.external_id} was answered accepted twice, not duplicate")

    async def _forge(self, line: "Line", fact: Fact) -> None:
        body, headers = self._chance.choice(FORGERIES)(fact)
        self.forged += 1
        answer = await line.post(self.receiver.port, fact.source, body, headers)
        if answer is not None and answer.status not in (401, 503):
            self.wrong.append(f"a forged {fact.external_id} was answered {answer.status} {answer.body!r}")

    def _wait_s(self) -> float:
        return self._chance.uniform(*AGAIN_S)


class Line:
    """One client's connection, kept as long as it goes well and the service stays where it is."""

    def __init__(self) -> None:
        self._port = 0
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, port: int, source: str, body: bytes, headers: Pairs) -> Message | None:
        """The answer, or None where none came."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await self._to(port)
                writer.write(message(f"POST /webhooks/{source} HTTP/1.1", [("Host", "localhost"), *headers], body))
                answer = await read_message(reader)
        except (TimeoutError, *ABORTED):
            self.close()
            return None
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def _to(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is not None and self._port != port:
            self.close()
        if self._open is None:
            self._port, self._open = port, await asyncio.open_connection("127.0.0.1", port)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None
