"""The random form: a load in bursts, and services and servers that are killed, frozen and ended all the while."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice

import redis

from tests.chaos.service import Broken
from tests.chaos.vendors import Fact, facts
from tests.chaos.ways import ways_of
from tests.chaos.world import World

RATE = 300.0  # events a second, at most
BURST = 40
REFUSED_S = 0.4
FLUSH_S = 2.0


@dataclass(frozen=True, slots=True)
class Size:
    """`calm_s` is how long the service is left alone between two kills, on average."""

    kills: int
    events: int
    calm_s: float = 1.5
    settle_s: float = 180.0


@dataclass
class Storm:
    world: World
    size: Size
    say: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    flushed: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(f"storm {self.world.seed}")
        self._killed = asyncio.Semaphore(0)
        self._began = time.monotonic()

    async def rage(self) -> list[str]:
        """All of it. What was wrong; empty is good."""
        pouring = asyncio.create_task(self._pour())
        others = [asyncio.create_task(task) for task in (self._slam(), self._flush(), self._talk())]
        try:
            await self._kill_all()
            await pouring
            self.say(f"{self.line()}; waiting until every event is final")
            wrong = await self.world.settled(self.size.settle_s)
            await self.world.terminate()
        except Broken as broken:
            wrong = [str(broken)]
        finally:
            for task in (pouring, *others):
                task.cancel()
        return [*wrong, *await self.world.verdict()]

    def line(self) -> str:
        load, upstream = self.world.load, self.world.upstream
        return (
            f"{time.monotonic() - self._began:4.0f} s  {self.kills.total()}/{self.size.kills} kills,"
            f" {load.accepted}/{len(load.facts)} events accepted, {load.forged} forged,"
            f" {upstream.effects.total()} effects in {upstream.requests.total()} calls"
        )

    def coverage(self) -> str:
        """What it went through, so that a storm that has calmed down shows."""
        look = self.world.project.store.look
        lapses = [row[0] for row in look("SELECT count(*) FROM history WHERE kind = 'lapsed' GROUP BY run_id")]
        rows = look(
            "SELECT state, CASE state WHEN 'parked' THEN code END, count(*) FROM run GROUP BY 1, 2 ORDER BY 3 DESC"
        )
        ends = {f"{state} ({code})" if code else state: count for state, code, count in rows}
        return "\n".join((
            f"kills: {_counts(self.kills)}; replies lost {self._lost()} times, Redis flushed {self.flushed} times",
            f"answers: {_counts(self.world.load.answers)}; runs: {_counts(ends)}",
            f"leases ran out {sum(lapses)} times, twice or more of {sum(count > 1 for count in lapses)} runs",
            f"the upstream's faults: {_counts(self.world.upstream.faced)}",
        ))  # fmt: skip

    def _lost(self) -> int:
        return sum(server.proxy.lost for server in (self.world.store, self.world.queue) if server)

    # ── the load ──

    async def _pour(self) -> None:
        """As many events for each kill, in bursts, so that there is something under way at all of them."""
        source = facts(self.world.seed)
        for number in range(1, self.size.kills + 1):
            share = self.size.events * number // self.size.kills - len(self.world.load.facts)
            await self._pour_share(source, share)
            await self._killed.acquire()

    async def _pour_share(self, source: Iterator[Fact], share: int) -> None:
        left = share
        while left > 0:
            burst = min(left, self._chance.randint(1, BURST))
            self.world.load.offer(list(islice(source, burst)))
            left -= burst
            pause_s = self._chance.uniform(0, 2 * burst * self.size.calm_s / share)
            await asyncio.sleep(max(pause_s, burst / RATE))

    async def _slam(self) -> None:
        """Now and then nobody listens at the upstream."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 2) * 3 * self.size.calm_s)
            await self.world.upstream.refuse_for(REFUSED_S)

    async def _talk(self) -> None:
        while True:
            await asyncio.sleep(10)
            self.say(self.line())

    async def _flush(self) -> None:
        """Whatever Redis holds is thrown away every so often: no work may be lost with it."""
        if self.world.layout.queue != "redis" or self.world.queue is None:
            return
        with closing(redis.Redis.from_url(self.world.queue.server.url, socket_timeout=1)) as client:
            while True:
                await asyncio.sleep(FLUSH_S)
                with suppress(redis.RedisError):  # it is down
                    await asyncio.to_thread(client.flushall)
                    self.flushed += 1

    # ── the kills ──

    async def _kill_all(self) -> None:
        ways = ways_of(self.world)
        first = self._chance.sample(ways, len(ways))
        for number in range(self.size.kills):
            await asyncio.sleep(self._chance.uniform(0, 2 * self.size.calm_s))
            way = first[number] if number < len(first) else self._chance.choices(ways, [w.weight for w in ways])[0]
            await way.go(self.world, self._chance)
            self.kills[way.name] += 1
            self._killed.release()
            await self.world.ready()


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in of.items())
