"""Plays scenarios: with the product, which must pass them all, and with planted bugs, which must be caught.

Several at a time, each with a folder, ports and processes of its own: mostly they wait for leases to run out.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.service import Broken, complaints
from tests.chaos.world import world

AT_ONCE = 5
SEED = 1
TRIES = 3


async def play(folder: Path, scenario: str, mutant: str = "") -> list[str]:
    """What was wrong."""
    chosen = SCENARIOS[scenario]
    try:
        async with world(folder, SEED, chosen.faults, layout=chosen.layout, mutant=mutant) as made:
            return await chosen.play(made)
    except (Broken, TimeoutError) as error:
        return [str(error) or "what the scenario waited for did not happen", *complaints(folder)]


@dataclass(frozen=True)
class Proof:
    """`failed`: scenarios that the product does not pass; `escaped`: planted bugs not caught as what they are.

    Each with what was found.
    """

    failed: dict[str, list[str]]
    escaped: dict[str, list[str]]


async def prove(folder: Path, scenarios: Iterable[str] = SCENARIOS, mutants: Iterable[str] = MUTANTS) -> Proof:
    plays = {name: play(folder / name, name) for name in scenarios}
    failed = {name: wrong for name, wrong in (await _together(plays)).items() if wrong}
    return Proof(failed, await _escaped(folder, mutants))


async def _escaped(folder: Path, mutants: Iterable[str]) -> dict[str, list[str]]:
    """Planted bugs that no try brought to light: on a busy machine a kill may miss the moment that it is meant for."""
    escaped: dict[str, list[str]] = {name: [] for name in mutants}
    for number in range(TRIES):
        plays = {name: play(folder / f"{name}-{number}", MUTANTS[name].scenario, name) for name in escaped}
        found = await _together(plays)
        escaped = {name: wrong for name, wrong in found.items() if not _caught(name, wrong)}
    return escaped


def _caught(mutant: str, found: list[str]) -> bool:
    return any(MUTANTS[mutant].caught_as in line for line in found)


async def _together(plays: dict[str, Coroutine[Any, Any, list[str]]]) -> dict[str, list[str]]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(waiting: Coroutine[Any, Any, list[str]]) -> list[str]:
        async with places:
            return await waiting

    return dict(zip(plays, await asyncio.gather(*map(one, plays.values())), strict=True))
