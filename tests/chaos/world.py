"""Everything a scenario has: a project, servers, an upstream, vendors, services. Torn down however it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.faults import Faults
from tests.chaos.judge import NOT_FINAL, hanging, judge
from tests.chaos.layout import ALONE, Behind, Layout, behind
from tests.chaos.load import Load
from tests.chaos.project import Project
from tests.chaos.service import Broken, Receiver, Service, Worker, complaints
from tests.chaos.upstream import Upstream

LOOK_S = 0.05
OVERDUE_S = 8.0  # a lease that ran out so long ago is never taken back


@dataclass
class World:
    seed: int
    layout: Layout
    project: Project
    upstream: Upstream
    load: Load
    store: Behind | None
    queue: Behind | None
    workers: list[Worker]
    """None where the queue is in memory: then the receivers work."""
    started: list[Service] = field(default_factory=list)

    @property
    def receiver(self) -> Receiver:
        return self.load.receiver

    @property
    def services(self) -> list[Service]:
        """Those that count; there may be others on their way out."""
        return [self.receiver, *self.workers]

    async def start(self) -> None:
        for service in self.services:  # one by one: on SQLite the receiver makes the store, and a worker needs it
            self.started.append(service)
            service.start()
            await service.ready()

    async def ready(self) -> None:
        for service in self.services:
            await service.ready()

    async def terminate(self) -> None:
        for service in self.services:
            await service.terminate()

    async def succeed(self, old: Service) -> None:
        """Start another one in its place; what becomes of the old one is not decided here."""
        new = old.successor(f"{old.role}-{len(self.started) + 1}")
        self.started.append(new)
        new.start()
        await new.ready()
        if isinstance(new, Receiver):
            self.load.receiver = new
        else:
            self.workers = [new if worker is old else worker for worker in self.workers]  # type: ignore[misc]

    def discard(self) -> None:
        for service in self.started:
            service.discard()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """The store, for whoever wants to write; not the harness's loop, which proxies must have."""
        lock = self.project.store.locked()
        await asyncio.to_thread(lock.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)

    async def until(self, sql: str, within_s: float) -> None:
        """Wait until the store says something to it. Errors: Broken."""
        give_up_at = time.monotonic() + within_s
        while not await asyncio.to_thread(self.project.store.look, sql):
            if time.monotonic() > give_up_at:
                raise Broken(f"{within_s:.0f} s, and still nothing to: {sql}")
            await asyncio.sleep(LOOK_S)

    def not_final(self) -> int:
        count: int = self.project.store.look(f"SELECT count(*) FROM run WHERE {NOT_FINAL}")[0][0]
        return count

    async def settled(self, within_s: float) -> list[str]:
        """Wait until every event is accepted and every run final; else what hangs."""
        began_at, give_up_at = time.time(), time.monotonic() + within_s
        if not await self.load.accepted_all(within_s):
            missing = [fact.external_id for fact in self.load.facts.values() if not fact.ids]
            return [f"not accepted within {within_s:.0f} s: {missing[:5]}"]
        while await asyncio.to_thread(self.not_final):
            if time.monotonic() > give_up_at or await asyncio.to_thread(self._overdue, began_at):
                return await asyncio.to_thread(hanging, self.project)
            await asyncio.sleep(LOOK_S)
        return []

    def _overdue(self, since: float) -> bool:
        """Leases that ran out before, while nobody was there to see it, are to be taken back from now on."""
        if time.time() < since + OVERDUE_S:
            return False
        past = round((time.time() - OVERDUE_S) * 1e6)
        return bool(self.project.store.look(f"SELECT 1 FROM run WHERE state = 'running' AND lease_until < {past}"))

    async def verdict(self) -> list[str]:
        """What is wrong, once the services have ended."""
        found = await asyncio.to_thread(judge, self.load, self.upstream, self.project)
        return found + [f"logged: {line}" for line in list(complaints(self.project.folder))[:5]]


@asynccontextmanager
async def world(
    folder: Path, seed: int, faults: Faults, *, layout: Layout = ALONE, mutant: str = ""
) -> AsyncIterator[World]:
    """With services that are ready. Errors: Missing, where a server is not installed."""
    for_store, for_queue = layout.servers
    async with Upstream(faults) as upstream, behind(for_store) as store, behind(for_queue) as queue:
        project = Project.made(folder, upstream, store, queue)
        if store:
            await asyncio.to_thread(project.upgrade)
        workers = [
            Worker(project, f"worker-{number}", mutant, clock_s) for number, clock_s in enumerate(layout.clocks_s, 1)
        ]
        async with Load(Receiver(project, "receiver-1", mutant), seed) as load:
            made = World(seed, layout, project, upstream, load, store, queue, workers)
            try:
                await made.start()
                yield made
            finally:
                made.discard()


__all__ = ["Broken", "World", "world"]
