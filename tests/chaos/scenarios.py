"""Single situations, each brought about on purpose and without chance: what the storm meets only now and then.

Each takes a world whose service answers, and gives back what is wrong. The product passes all of them; a planted bug
(`mutants.py`) is caught by the one that is its own.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.chaos.faults import ROUGHER, Faults
from tests.chaos.judge import runs_of
from tests.chaos.service import Broken, Service
from tests.chaos.storm import freeze_unlocked
from tests.chaos.upstream import Upstream, steady_price
from tests.chaos.vendors import Fact, fact, facts
from tests.chaos.world import World

SETTLE_S = 40.0  # far more than it takes; a busy machine needs it
CROWD = 300
LOCKED_S = 3.0  # a child needs less than one to start, and a write is given up after another
CLAIMED_SUSPECTS = "SELECT 1 FROM run WHERE state = 'running' AND lapses = 2"
PEACE = Faults(0)


@dataclass(frozen=True, slots=True)
class Scenario:
    play: Callable[[World], Awaitable[list[str]]]
    faults: Faults = PEACE


@dataclass
class Gate:
    """Holds back the answers to `GET /price`, until it is said what they are. `askers` are runs: event/handler."""

    upstream: Upstream
    asked: dict[str, list["asyncio.Future[tuple[int, Any]]"]] = field(default_factory=dict)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.upstream.price = self._ask

    async def _ask(self, asker: str) -> tuple[int, Any]:
        answer: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self.asked.setdefault(asker, []).append(answer)
        self._came.set()
        return await answer

    async def times(self, times: int, askers: int) -> None:
        """Wait until so many have asked so many times. Errors: Broken."""
        try:
            async with asyncio.timeout(SETTLE_S):
                while sum(len(questions) >= times for questions in self.asked.values()) < askers:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            counts = {asker: len(questions) for asker, questions in self.asked.items()}
            raise Broken(f"not {askers} runs have called {times} times, but: {counts}") from None

    def answer(self, time: int, status_of: Callable[[int], int], price: int) -> None:
        """What they hear at their time-th question, by their place in the alphabet."""
        for place, asker in enumerate(sorted(self.asked)):
            self.asked[asker][time].set_result((status_of(place), {"price": price}))

    def open(self) -> None:
        """From now on everybody is answered at once."""
        self.upstream.price = steady_price
        for questions in self.asked.values():
            for answer in questions:
                if not answer.done():
                    answer.set_result((503, {}))  # to nobody: who asked is dead


def _prices(world: World, *numbers: int) -> list[Fact]:
    chance = random.Random(world.seed)
    return [fact("price.asked", f"evt_price_{number}", "plain", chance) for number in numbers]


async def _restart(service: Service) -> None:
    await service.kill()
    service.start()
    await service.ready()


async def _ended(world: World) -> list[str]:
    """Everything final, the service stopped, nothing wrong."""
    service = world.load.service
    await service.ready()
    wrong = await world.settled(SETTLE_S)
    await service.terminate()
    return [*wrong, *await world.verdict()]


async def rough_upstream(world: World) -> list[str]:
    """Nothing is killed; calls fail before, after and in the middle of their effects, and strangers knock."""
    world.load.offer(list(islice(facts(world.seed), 60)))
    return await _ended(world)


async def cut_answers(world: World) -> list[str]:
    """Killed twice, each time right after an answer, while a crowd waits for theirs."""
    source = facts(world.seed, ("ping",))
    for number in (1, 2):
        await world.services[0].ready()
        world.load.offer(list(islice(source, CROWD)))
        await world.load.accepted_some(number * CROWD // 5, SETTLE_S)
        await world.services[0].kill()
        world.services[0].start()
    return await _ended(world)


async def left_behind(world: World) -> list[str]:
    """Killed with calls under way: the next service must take them back and end them."""
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await gate.times(1, askers=4)
    await world.services[0].kill()
    gate.open()
    world.services[0].start()
    return await _ended(world)


async def thrice(world: World) -> list[str]:
    """Killed with the same calls under way three times, the third time as the parent of the child that works on them.

    Nobody is to blame: the child did not die by itself while its parent lived to see it.
    """
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await _kill_twice(world, gate)
    await gate.times(3, askers=2)  # as many children as there may be; the other runs wait for their turn
    await world.services[0].kill()
    gate.open()
    world.services[0].start()
    return await _ended(world)


async def _kill_twice(world: World, gate: Gate) -> None:
    for time in (1, 2):
        await gate.times(time, askers=4)
        await _restart(world.services[0])


async def locked_out(world: World) -> list[str]:
    """The store is locked while children begin: they must wait for it, and nobody is blamed for our trouble."""
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await _kill_twice(world, gate)
    await world.until(CLAIMED_SUSPECTS, SETTLE_S)
    with world.project.locked():
        await asyncio.sleep(LOCKED_S)
    gate.open()
    return await _ended(world)


async def locked_at_the_start(world: World) -> list[str]:
    """The store is locked while the worker starts: it must wait for it, or nothing is worked on until a restart."""
    with world.project.locked():
        await asyncio.sleep(LOCKED_S)
    world.load.offer(_prices(world, 1, 2))
    return await _ended(world)


async def asked_to_end(world: World) -> list[str]:
    """SIGTERM, while calls hang: of handlers of both kinds, of children, and of runs that wait for a child.

    It must end in time, and give back what it held: nobody has to wait for a lease to run out.
    """
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await _kill_twice(world, gate)
    world.load.offer(_prices(world, 3, 4))
    await gate.times(1, askers=8)
    await gate.times(3, askers=2)
    lapsed = await asyncio.to_thread(_lapsed, world)
    await world.services[0].terminate()
    held = await asyncio.to_thread(world.project.look, "SELECT count(*) FROM run WHERE state = 'running'")
    gate.open()
    world.services[0].start()
    wrong = await _ended(world)
    if held != [(0,)] or await asyncio.to_thread(_lapsed, world) != lapsed:
        wrong.append(f"not given back at the end: {held[0][0]} leases")
    return wrong


def _lapsed(world: World) -> list[Any]:
    return world.project.look("SELECT count(*) FROM history WHERE kind = 'lapsed'")


async def woken_up(world: World) -> list[str]:
    """Frozen past its leases and replaced, it wakes up with answers that its successor did not get.

    Half of its calls now hear another price, and would go on to another effect; the other half hear a refusal, and
    would make a finished run wait again. Both must find that the lease is gone.
    """
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await gate.times(1, askers=4)
    old, new = world.services[0], world.service()
    await freeze_unlocked(old)
    new.start()
    await new.ready()
    world.load.service = new
    await gate.times(2, askers=4)
    gate.answer(1, lambda place: 200, price=7)
    if hanging := await world.settled(SETTLE_S):
        return hanging
    before = await asyncio.to_thread(runs_of, world.project)
    gate.answer(0, lambda place: 200 if place < 2 else 503, price=9)
    old.go_on()
    await old.terminate()
    after = await asyncio.to_thread(runs_of, world.project)
    gate.open()
    changed = [f"was final, but changed: {event}: {runs}, then {after[event]}" for event, runs in before.items()
               if after[event] != runs]  # fmt: skip
    return [*changed, *await _ended(world)]


async def late_refusal(world: World) -> list[str]:
    """Frozen, it does not hear that its call is refused; its successor repeats it, and dies after that took effect.

    What it hears when it wakes up says nothing of the second copy: the next attempt must go on under the same key.
    """
    arrived: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
    refuse, answer = asyncio.Event(), asyncio.Event()

    async def before_effect(count: int) -> int | None:
        arrived[count].set()
        if count == 0:
            await refuse.wait()
            return 503
        return None

    async def after_effect(count: int) -> int | None:
        if count == 1:
            await answer.wait()
        return None

    world.upstream.before_effect, world.upstream.after_effect = before_effect, after_effect
    world.load.offer([fact("bill.due", "evt_bill", "plain", random.Random(world.seed))])
    old, new = world.services[0], world.service()
    async with asyncio.timeout(SETTLE_S):
        await arrived[0].wait()
        await freeze_unlocked(old)
        refuse.set()
        new.start()
        await arrived[1].wait()
        await new.kill()
        answer.set()
        old.go_on()
        await arrived[2].wait()
    return await _ended(world)


SCENARIOS: Mapping[str, Scenario] = {
    "asked_to_end": Scenario(asked_to_end),  # the long ones first: they are played side by side
    "thrice": Scenario(thrice),
    "locked_out": Scenario(locked_out),
    "rough_upstream": Scenario(rough_upstream, Faults(1, ROUGHER, times=1)),
    "cut_answers": Scenario(cut_answers),
    "left_behind": Scenario(left_behind),
    "locked_at_the_start": Scenario(locked_at_the_start),
    "woken_up": Scenario(woken_up),
    "late_refusal": Scenario(late_refusal),
}
