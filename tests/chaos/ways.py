"""The ways in which services and servers die, stand still, are replaced, and do not hear each other."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.layout import Behind
from tests.chaos.project import LEASE_S
from tests.chaos.service import Broken, Service
from tests.chaos.world import World

EARLY = 0.12  # of the kills come while the service is still starting
LOCK_TRIES = 40
LOST_WITHIN_S = 3.0
COMMIT, ANYTHING = b"COMMIT", b""  # what stands in a request

Act = Callable[[World, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    go: Act
    """Whoever it hits is back, or on the way up, when it returns."""
    weight: int


def ways_of(world: World) -> list[Way]:
    """All that there are in its layout."""
    ways = [
        Way("SIGKILL", _kill, 55),
        Way("SIGSTOP", _freeze, 15),
        Way("SIGTERM", _terminate, 15),
        Way("succeeded", _succeed, 8),
        Way("locked", _lock, 7),
    ]
    if world.workers:
        ways += [Way("child killed", _kill_child, 10), Way("supervisor killed", _kill_supervisor, 6)]
    for server in (world.store, world.queue):
        ways += _of_server(server) if server else []
    if world.store:
        name = world.store.name
        ways += [Way(f"{name} restarted", _restart(world.store), 4), Way("COMMIT lost", _lose(world.store, COMMIT), 12)]
    return ways


# ── services ──


def _any(world: World, chance: random.Random) -> Service:
    return chance.choice(world.services)


async def _kill(world: World, chance: random.Random) -> None:
    service = _any(world, chance)
    await service.kill()
    service.start()
    if chance.random() < EARLY:
        await asyncio.sleep(chance.uniform(0, 0.8))
        await service.kill()
        service.start()


async def _kill_child(world: World, chance: random.Random) -> None:
    await chance.choice(world.workers).kill_child()


async def _kill_supervisor(world: World, chance: random.Random) -> None:
    worker = chance.choice(world.workers)
    await worker.kill_supervisor()
    worker.start()


async def _freeze(world: World, chance: random.Random) -> None:
    service = _any(world, chance)
    service.stop()
    await asyncio.sleep(chance.uniform(0.5, 1.5) * LEASE_S)
    service.go_on()


async def _terminate(world: World, chance: random.Random) -> None:
    service = _any(world, chance)
    await service.terminate()
    held = await asyncio.to_thread(world.project.store.look, f"SELECT handler, attempts FROM run WHERE {service.holds}")
    if held and service is world.receiver and not world.workers:  # two workers' leases cannot be told apart
        raise Broken(f"after SIGTERM it has not given back {len(held)} leases: {held[:3]}")
    service.start()


async def _succeed(world: World, chance: random.Random) -> None:
    """Frozen, taken for dead and replaced, it wakes up again and finds its leases gone."""
    service = _any(world, chance)
    if world.store:
        service.stop()
    else:
        await freeze_unlocked(service)
    await world.succeed(service)
    await asyncio.sleep(chance.uniform(0, 1.2) * LEASE_S)
    service.go_on()
    await asyncio.sleep(chance.uniform(0, 1))
    await service.terminate()


async def freeze_unlocked(service: Service) -> None:
    """Stop it, but not in the middle of a write: on SQLite that would hold up its successor, as it should."""
    for _ in range(LOCK_TRIES):
        service.stop()
        if not await asyncio.to_thread(service.project.store.is_locked):
            return
        service.go_on()
        await asyncio.sleep(0.02)
    raise Broken("the store was locked at every look")


# ── servers ──


async def _lock(world: World, chance: random.Random) -> None:
    """Another program holds the store, longer than the services wait for it."""
    async with world.locked():
        await asyncio.sleep(chance.uniform(0.2, 1.5) * LEASE_S)


def _of_server(server: Behind) -> list[Way]:
    return [
        Way(f"{server.name} killed", _kill_server(server), 8),
        Way(f"{server.name}'s reply lost", _lose(server, ANYTHING), 8),
    ]


def _kill_server(server: Behind) -> Act:
    async def kill(world: World, chance: random.Random) -> None:
        await asyncio.to_thread(server.server.kill)
        await asyncio.sleep(chance.uniform(0, LEASE_S))
        await asyncio.to_thread(server.server.start)

    return kill


def _restart(server: Behind) -> Act:
    async def restart(world: World, chance: random.Random) -> None:
        await asyncio.to_thread(server.server.restart)

    return restart


def _lose(server: Behind, marker: bytes) -> Act:
    async def lose(world: World, chance: random.Random) -> None:
        await server.proxy.lose(marker, LOST_WITHIN_S, after_arrival=marker is ANYTHING or chance.random() < 0.7)

    return lose
