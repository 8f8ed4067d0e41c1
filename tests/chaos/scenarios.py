"""Single situations, each brought about on purpose and without chance: what the storm meets only now and then.

Each takes a world whose service answers, and gives back what is wrong. The product passes all of them; a planted bug
(`mutants.py`) is caught by the one that is its own.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.chaos.faults import ROUGHER, Faults
from tests.chaos.judge import Run, runs_of
from tests.chaos.storm import freeze_unlocked
from tests.chaos.upstream import Upstream
from tests.chaos.vendors import Fact, fact, facts
from tests.chaos.world import World

SETTLE_S = 15.0  # after a restart: a lease, a sweep and a few retries take four
PRICES = 4
PEACE = Faults(0)


@dataclass(frozen=True, slots=True)
class Scenario:
    play: Callable[[World], Awaitable[list[str]]]
    faults: Faults = PEACE


@dataclass
class Gate:
    """Holds back the answers to `GET /price`, until it is said what they are."""

    upstream: Upstream
    waiting: dict[str, list["asyncio.Future[tuple[int, Any]]"]] = field(default_factory=dict)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.upstream.price = self._ask

    async def _ask(self, event: str) -> tuple[int, Any]:
        answer = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(event, []).append(answer)
        self._came.set()
        return await answer

    async def all_asked(self, times: int, within_s: float = SETTLE_S) -> bool:
        """Whether every event has asked so many times."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._asked(times):
                    self._came.clear()
                    await self._came.wait()
        return self._asked(times)

    def _asked(self, times: int) -> bool:
        return len(self.waiting) == PRICES and all(len(asked) >= times for asked in self.waiting.values())

    def answer(self, time: int, answers: list[tuple[int, Any]]) -> None:
        """What the events hear at their time-th question, in their order."""
        for event, answer in zip(sorted(self.waiting), answers, strict=True):
            self.waiting[event][time].set_result(answer)

    def open(self) -> None:
        """From now on everybody is answered at once."""
        for asked in self.waiting.values():
            for answer in asked:
                if not answer.done():
                    answer.set_result((200, {"price": 7}))
        self.upstream.price = _usual


async def _usual(event: str) -> tuple[int, Any]:
    return 200, {"price": 7}


def _priced(world: World) -> list[Fact]:
    chance = random.Random(world.seed)
    return [fact("price.asked", f"evt_price_{number}", "plain", chance) for number in range(PRICES)]


async def _ended(world: World, within_s: float = SETTLE_S) -> list[str]:
    """Everything final, the service stopped, nothing wrong."""
    hanging = await world.settled(within_s)
    if hanging:
        return hanging
    await world.services[-1].terminate()
    return await world.verdict()


async def rough_upstream(world: World) -> list[str]:
    """Nothing is killed; calls fail before, after and in the middle of their effects, and strangers knock."""
    world.load.offer(list(islice(facts(world.seed), 60)))
    return await _ended(world)


async def cut_answers(world: World) -> list[str]:
    """Killed twice, while a crowd is being answered."""
    source = facts(world.seed, ("ping",))
    for _ in range(2):
        pouring = asyncio.create_task(_pour(world, source_of=lambda: list(islice(source, 10))))
        await asyncio.sleep(0.8)
        await world.services[0].kill()
        pouring.cancel()
        world.services[0].start()
        await world.services[0].ready()
    return await _ended(world)


async def _pour(world: World, source_of: Callable[[], list[Fact]]) -> None:
    while True:
        world.load.offer(source_of())
        await asyncio.sleep(0.04)


async def left_behind(world: World) -> list[str]:
    """Killed with calls under way: the next service must take them back and end them."""
    gate = Gate(world.upstream)
    world.load.offer(_priced(world))
    if not await gate.all_asked(1):
        return ["the handlers were not called"]
    await world.services[0].kill()
    gate.open()
    world.services[0].start()
    await world.services[0].ready()
    return await _ended(world)


async def thrice(world: World) -> list[str]:
    """Killed with the same calls under way three times, the third time as the parent of the child that works on them.

    Nobody is to blame: the child did not die by itself while its parent lived to see it.
    """
    gate = Gate(world.upstream)
    world.load.offer(_priced(world))
    for time in (1, 2):
        if not await gate.all_asked(time):
            return [f"the handlers were not called {time} times: {gate.waiting}"]
        await world.services[0].kill()
        world.services[0].start()
        await world.services[0].ready()
    await _children_asked(world, gate)
    await world.services[0].kill()
    gate.open()
    world.services[0].start()
    await world.services[0].ready()
    return await _ended(world, 2 * SETTLE_S)


async def _children_asked(world: World, gate: Gate) -> None:
    """Wait until both places for children are taken; the other runs wait for theirs. Or until there is no run left."""
    while sum(len(asked) == 3 for asked in gate.waiting.values()) < 2 and await asyncio.to_thread(world.not_final):
        await asyncio.sleep(0.05)


async def woken_up(world: World) -> list[str]:
    """Frozen past its leases and replaced, it wakes up with answers that its successor did not get.

    Half of its calls now hear another price, and would go on to another effect; the other half hear a refusal, and
    would make a finished run wait again. Both must find that the lease is gone.
    """
    gate = Gate(world.upstream)
    world.load.offer(_priced(world))
    if not await gate.all_asked(1):
        return ["the handlers were not called"]
    old, new = world.services[0], world.service()
    await freeze_unlocked(old)
    new.start()
    await new.ready()
    world.load.service = new
    if not await gate.all_asked(2):
        return ["the successor did not take over", *await _hanging(world)]
    gate.answer(1, [(200, {"price": 7})] * PRICES)
    if hanging := await world.settled(SETTLE_S):
        return hanging
    before = await asyncio.to_thread(_attempts, world)
    gate.answer(0, [(200, {"price": 9})] * (PRICES // 2) + [(503, {})] * (PRICES - PRICES // 2))
    old.go_on()
    await old.terminate()
    after = await asyncio.to_thread(_attempts, world)
    gate.open()
    changed = [f"was final, but changed: {event}: {run} and then {after[event]}" for event, run in before.items()
               if after[event] != run]  # fmt: skip
    return [*changed, *await _ended(world)]


async def _hanging(world: World) -> list[str]:
    return await world.settled(0.0)


def _attempts(world: World) -> dict[str, list[Run]]:
    return runs_of(world.project)


SCENARIOS: Mapping[str, Scenario] = {
    "rough_upstream": Scenario(rough_upstream, Faults(1, ROUGHER, times=1)),
    "cut_answers": Scenario(cut_answers),
    "left_behind": Scenario(left_behind),
    "thrice": Scenario(thrice),
    "woken_up": Scenario(woken_up),
}
