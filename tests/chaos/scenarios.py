"""Single situations, each brought about on purpose and without chance: what the storm meets only now and then.

Each takes a world whose service answers, and gives back what is wrong. The product passes all of them; a planted bug
(`mutants.py`) is caught by the one that is its own.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from tests.chaos.faults import ROUGHER, Faults
from tests.chaos.judge import runs_of
from tests.chaos.layout import ALONE, ON_REDIS, Behind, Layout
from tests.chaos.project import LEASE_S
from tests.chaos.service import Broken, Service
from tests.chaos.upstream import Upstream, steady_price
from tests.chaos.vendors import Fact, fact, facts
from tests.chaos.ways import freeze_unlocked
from tests.chaos.world import World

SETTLE_S = 60.0  # far more than it takes; a busy machine needs it
SWEPT_S = 20.0  # a few looks, one a second
CROWD = 300
LOCKED_S = 3.0  # a child needs less than one to start, and a write is given up after another
CLAIMED_SUSPECTS = "SELECT 1 FROM run WHERE state = 'running' AND lapses = 2"
PEACE = Faults(0)


@dataclass(frozen=True, slots=True)
class Scenario:
    play: Callable[[World], Awaitable[list[str]]]
    faults: Faults = PEACE
    layout: Layout = ALONE


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

    def open(self, answer: tuple[int, Any] = (503, {})) -> None:
        """From now on everybody is answered at once; who has asked before is dead, mostly, and hears `answer`."""
        self.upstream.price = steady_price
        for questions in self.asked.values():
            for question in questions:
                if not question.done():
                    question.set_result(answer)


def _prices(world: World, *numbers: int) -> list[Fact]:
    chance = random.Random(world.seed)
    return [fact("price.asked", f"evt_price_{number}", "plain", chance) for number in numbers]


async def _restart(service: Service) -> None:
    await service.kill()
    service.start()
    await service.ready()


async def _ended(world: World, within_s: float = SETTLE_S) -> list[str]:
    """Everything final, the services stopped, nothing wrong."""
    await world.ready()
    wrong = await world.settled(within_s)
    await world.terminate()
    return [*wrong, *await world.verdict()]


async def rough_upstream(world: World) -> list[str]:
    """Nothing is killed; calls fail before, after and in the middle of their effects, and strangers knock."""
    world.load.offer(list(islice(facts(world.seed), 60)))
    return await _ended(world)


async def cut_answers(world: World) -> list[str]:
    """Killed twice, each time right after an answer, while a crowd waits for theirs."""
    source = facts(world.seed, ("ping",))
    for number in (1, 2):
        await world.receiver.ready()
        world.load.offer(list(islice(source, CROWD)))
        await world.load.accepted_some(number * CROWD // 5, SETTLE_S)
        await world.receiver.kill()
        world.receiver.start()
    return await _ended(world)


async def left_behind(world: World) -> list[str]:
    """Killed with calls under way: the next service must take them back and end them."""
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await gate.times(1, askers=4)
    await world.receiver.kill()
    gate.open()
    world.receiver.start()
    return await _ended(world)


async def thrice(world: World) -> list[str]:
    """Killed with the same calls under way three times, the third time as the parent of the child that works on them.

    Nobody is to blame: the child did not die by itself while its parent lived to see it.
    """
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await _kill_twice(world, gate)
    await gate.times(3, askers=2)  # as many children as there may be; the other runs wait for their turn
    await world.receiver.kill()
    gate.open()
    world.receiver.start()
    return await _ended(world)


async def _kill_twice(world: World, gate: Gate) -> None:
    for time in (1, 2):
        await gate.times(time, askers=4)
        await _restart(world.receiver)


async def locked_out(world: World) -> list[str]:
    """The store is locked while children begin: they must wait for it, and nobody is blamed for our trouble."""
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await _kill_twice(world, gate)
    await world.until(CLAIMED_SUSPECTS, SETTLE_S)
    async with world.locked():
        await asyncio.sleep(LOCKED_S)
    gate.open()
    return await _ended(world)


async def locked_at_the_start(world: World) -> list[str]:
    """The store is locked while the worker starts: it must wait for it, or nothing is worked on until a restart."""
    async with world.locked():
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
    # All of them claimed by the service that is asked: it is to give back nothing for one that was killed before.
    claims = f"SELECT count(*) AS runs FROM run WHERE {world.receiver.holds}"
    await world.until(f"SELECT 1 FROM ({claims}) AS claims WHERE runs = 8", SETTLE_S)
    lapsed = await asyncio.to_thread(_lapsed, world)
    await world.receiver.terminate()
    held = await asyncio.to_thread(world.project.store.look, "SELECT id FROM run WHERE state = 'running'")
    gate.open()
    world.receiver.start()
    wrong = await _ended(world)
    if held or await asyncio.to_thread(_lapsed, world) != lapsed:
        wrong.append(f"not given back at the end: {len(held)} leases")
    return wrong


def _lapsed(world: World) -> list[Any]:
    return world.project.store.look("SELECT count(*) FROM history WHERE kind = 'lapsed'")


async def woken_up(world: World) -> list[str]:
    """Frozen past its leases and replaced, it wakes up with answers that its successor did not get.

    Half of its calls now hear another price, and would go on to another effect; the other half hear a refusal, and
    would make a finished run wait again. Both must find that the lease is gone.
    """
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, 1, 2))
    await gate.times(1, askers=4)
    old = world.services[-1]
    await freeze_unlocked(old)
    await world.succeed(old)
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
    old = world.receiver
    async with asyncio.timeout(SETTLE_S):
        await arrived[0].wait()
        await freeze_unlocked(old)
        refuse.set()
        await world.succeed(old)
        await arrived[1].wait()
        await world.receiver.kill()
        answer.set()
        world.load.receiver = old
        old.go_on()
        await arrived[2].wait()
    return await _ended(world)


# ── on many processes ──


async def no_hints(world: World) -> list[str]:
    """The broker is gone for good: the store is the queue, so all the work is found, and the services end in time."""
    await asyncio.to_thread(_server(world.queue).server.kill)
    world.load.offer(list(islice(facts(world.seed), 30)))
    return await _ended(world, SWEPT_S)


async def two_workers(world: World) -> list[str]:
    """Their clocks are an hour apart, some calls take longer than a lease, a crowd follows: no run is claimed twice."""
    gate = Gate(world.upstream)
    world.load.offer(_prices(world, *range(8)))
    await gate.times(1, askers=16)
    await asyncio.sleep(1.5 * LEASE_S)
    gate.open((200, {"price": 7}))
    world.load.offer(_prices(world, *range(8, CROWD)))
    return [*await _ended(world), *_repeated(world)]


def _repeated(world: World) -> list[str]:
    rows = world.project.store.look("SELECT event_id, handler, attempts, lapses FROM run WHERE attempts <> 1")
    return [f"attempted again without a cause: {len(rows)} runs: {rows[:3]}"] if rows else []


async def lost_commits(world: World) -> list[str]:
    """The connection breaks at commits, before they arrive and after: nobody hears which was which.

    Then PostgreSQL is killed twice, each time right after an answer, while a crowd waits for theirs.
    """
    store, some, crowd = _server(world.store), facts(world.seed), facts(world.seed + 1, ("ping",))
    for number in range(8):
        world.load.offer(list(islice(some, 10)))
        if not await store.proxy.lose(b"COMMIT", SETTLE_S, after_arrival=bool(number % 2)):
            return ["nobody has committed anything"]
    for _ in range(2):
        world.load.offer(list(islice(crowd, CROWD)))
        await world.load.accepted_some(world.load.accepted + CROWD // 5, SETTLE_S)
        await asyncio.to_thread(store.server.kill)
        await asyncio.to_thread(store.server.start)
    return await _ended(world)


async def held_intent(world: World) -> list[str]:
    """A worker stands still in the middle of writing down what it intends, for longer than its lease.

    Nobody may take that run over before the intent is committed or given up: the other one would hear another price.
    """
    gate, proxy = Gate(world.upstream), _server(world.store).proxy
    world.load.offer(_prices(world, 1))
    await gate.times(1, askers=2)
    holding = asyncio.create_task(proxy.hold(b"INTO step", SETTLE_S))
    world.upstream.price = _dear
    gate.asked["evt_price_1/charge"][0].set_result((200, {"price": 7}))
    await holding
    await asyncio.sleep(2 * LEASE_S)
    gate.open()
    proxy.release()
    return await _ended(world)


async def _dear(asker: str) -> tuple[int, Any]:
    return 200, {"price": 9 if asker.endswith("/charge") else 7}


def _server(server: Behind | None) -> Behind:
    assert server is not None, "this layout has none"
    return server


ONE_WORKER = replace(ON_REDIS, clocks_s=(0.0,))
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
    "no_hints": Scenario(no_hints, layout=ON_REDIS),
    "two_workers": Scenario(two_workers, layout=ON_REDIS),
    "woken_worker": Scenario(woken_up, layout=ONE_WORKER),
    "held_intent": Scenario(held_intent, layout=ON_REDIS),
    "lost_commits": Scenario(lost_commits, layout=ONE_WORKER),
}
