"""The random form: a load in bursts, and a service that is killed, frozen, ended and succeeded all the while."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.chaos.project import LEASE_S
from tests.chaos.service import Broken, Service
from tests.chaos.vendors import Fact, facts
from tests.chaos.world import World

RATE = 300.0  # events a second, at most
BURST = 40
REFUSED_S = 0.4
EARLY = 0.12  # of the kills come while the service is still starting
LOCK_TRIES = 40
WEIGHTS = (55, 15, 15, 8, 7)  # of the ways to be killed, after one of each


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

    def __post_init__(self) -> None:
        self._chance = random.Random(f"storm {self.world.seed}")
        self._service = self.world.services[0]
        self._killed = asyncio.Semaphore(0)
        self._began = time.monotonic()

    async def rage(self) -> list[str]:
        """All of it. What was wrong; empty is good."""
        pouring = asyncio.create_task(self._pour())
        others = [asyncio.create_task(self._slam()), asyncio.create_task(self._talk())]
        try:
            await self._kill_all()
            await pouring
            self.say(f"{self.line()}; waiting until every event is final")
            wrong = await self.world.settled(self.size.settle_s)
            await self._service.terminate()
        except Broken as broken:
            wrong = [str(broken)]
        finally:
            for task in (pouring, *others):
                task.cancel()
        return [*wrong, *await self.world.verdict()]

    def line(self) -> str:
        load, upstream = self.world.load, self.world.upstream
        kills = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        return (
            f"{time.monotonic() - self._began:4.0f} s  {self.kills.total()}/{self.size.kills} kills ({kills})"
            f"  {load.accepted}/{len(load.facts)} events accepted, {load.forged} forged,"
            f" {upstream.effects.total()} effects in {upstream.requests.total()} calls"
        )

    def coverage(self) -> str:
        """What it went through, so that a storm that has calmed down shows."""
        faced = self.world.upstream.faced
        lapsed = self.world.project.look("SELECT run_id, count(*) FROM history WHERE kind = 'lapsed' GROUP BY run_id")
        ends = self.world.project.look(
            "SELECT state, code, count(*) FROM run GROUP BY state, code ORDER BY count(*) DESC"
        )
        shown = ", ".join(f"{count} {state}{f' ({code})' if state == 'parked' else ''}" for state, code, count in ends)
        return (
            f"answers {dict(self.world.load.answers)}; runs: {shown}; leases ran out {sum(n for _, n in lapsed)} times,"
            f" twice or more of {sum(n > 1 for _, n in lapsed)} runs\n"
            f"the upstream's faults: {', '.join(f'{count} × {fault}' for fault, count in faced.items())}"
        )

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

    # ── the kills ──

    async def _kill_all(self) -> None:
        ways: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("SIGKILL", self._kill),
            ("SIGSTOP", self._freeze),
            ("SIGTERM", self._terminate),
            ("succeeded", self._succeed),
            ("locked", self._lock),
        ]
        first = self._chance.sample(ways, len(ways))
        for number in range(self.size.kills):
            await asyncio.sleep(self._chance.uniform(0, 2 * self.size.calm_s))
            name, way = first[number] if number < len(first) else self._chance.choices(ways, WEIGHTS)[0]
            await way()
            self.kills[name] += 1
            self._killed.release()
            await self._service.ready()

    async def _kill(self) -> None:
        await self._service.kill()
        self._service.start()
        if self._chance.random() < EARLY:
            await asyncio.sleep(self._chance.uniform(0, 0.8))
            await self._service.kill()
            self._service.start()

    async def _freeze(self) -> None:
        self._service.stop()
        await asyncio.sleep(self._chance.uniform(0.5, 1.5) * LEASE_S)
        self._service.go_on()

    async def _lock(self) -> None:
        """Another program holds the store, longer than the service waits for it."""
        with self.world.project.locked():
            await asyncio.sleep(self._chance.uniform(0.2, 1.5) * LEASE_S)

    async def _terminate(self) -> None:
        await self._service.terminate()
        if held := self._held_by(self._service):
            raise Broken(f"after SIGTERM it has not given back {len(held)} leases: {held[:3]}")
        self._service.start()

    def _held_by(self, service: Service) -> list[Any]:
        """Runs that it has claimed; others may still wait for the leases of one killed before it to run out."""
        since = f"started_at > {round(service.started_at * 1e6)}"
        return self.world.project.look(f"SELECT handler, attempts FROM run WHERE state = 'running' AND {since}")

    async def _succeed(self) -> None:
        """Frozen, taken for dead and replaced, it wakes up again and finds its leases gone."""
        old, new = self._service, self.world.service()
        await freeze_unlocked(old)
        new.start()
        await new.ready()
        self.world.load.service = self._service = new
        await asyncio.sleep(self._chance.uniform(0, 1.2) * LEASE_S)
        old.go_on()
        await asyncio.sleep(self._chance.uniform(0, 1))
        await old.terminate()


async def freeze_unlocked(service: Service) -> None:
    """Stop it, but not in the middle of a write: that would hold up its successor, as it should."""
    for _ in range(LOCK_TRIES):
        service.stop()
        if not await asyncio.to_thread(service.project.is_locked):
            return
        service.go_on()
        await asyncio.sleep(0.02)
    raise Broken("the store was locked at every look")
