"""Everything a scenario has: a project, an upstream, vendors, and the services it starts. Torn down however it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.faults import Faults
from tests.chaos.judge import NOT_FINAL, hanging, judge
from tests.chaos.load import Load
from tests.chaos.project import Project
from tests.chaos.service import Broken, Service, complaints
from tests.chaos.upstream import Upstream

LOOK_S = 0.05
OVERDUE_S = 8.0  # a lease that ran out so long ago is never taken back


@dataclass
class World:
    seed: int
    module: tuple[str, ...]
    project: Project
    upstream: Upstream
    load: Load
    services: list[Service] = field(default_factory=list)

    def service(self) -> Service:
        """One more, on the same store."""
        number = len(self.services) + 1
        self.services.append(Service(self.project, self.module, f"service-{number}"))
        return self.services[-1]

    async def until(self, sql: str, within_s: float) -> None:
        """Wait until the store says something to it. Errors: Broken."""
        give_up_at = time.monotonic() + within_s
        while not await asyncio.to_thread(self.project.look, sql):
            if time.monotonic() > give_up_at:
                raise Broken(f"{within_s:.0f} s, and still nothing to: {sql}")
            await asyncio.sleep(LOOK_S)

    def not_final(self) -> int:
        count: int = self.project.look(f"SELECT count(*) FROM run WHERE {NOT_FINAL}")[0][0]
        return count

    async def settled(self, within_s: float) -> list[str]:
        """Wait until every event is accepted and every run final; else what hangs."""
        give_up_at = time.monotonic() + within_s
        if not await self.load.accepted_all(within_s):
            missing = [fact.external_id for fact in self.load.facts.values() if not fact.ids]
            return [f"not accepted within {within_s:.0f} s: {missing[:5]}"]
        while await asyncio.to_thread(self.not_final):
            if time.monotonic() > give_up_at or await asyncio.to_thread(self._overdue):
                return await asyncio.to_thread(hanging, self.project)
            await asyncio.sleep(LOOK_S)
        return []

    def _overdue(self) -> bool:
        past = round((time.time() - OVERDUE_S) * 1e6)
        return bool(self.project.look(f"SELECT 1 FROM run WHERE state = 'running' AND lease_until < {past}"))

    async def verdict(self) -> list[str]:
        """What is wrong, once the services have ended."""
        found = await asyncio.to_thread(judge, self.load, self.upstream, self.project)
        return found + [f"logged: {line}" for line in list(complaints(self.project.folder))[:5]]


@asynccontextmanager
async def world(folder: Path, seed: int, faults: Faults, module: tuple[str, ...]) -> AsyncIterator[World]:
    """With one service that answers."""
    async with Upstream(faults) as upstream:
        project = Project.made(folder, upstream)
        service = Service(project, module, "service-1")
        async with Load(service, seed) as load:
            made = World(seed, module, project, upstream, load, [service])
            service.start()
            try:
                await service.ready()
                yield made
            finally:
                for one in made.services:
                    one.discard()


__all__ = ["Broken", "World", "world"]
