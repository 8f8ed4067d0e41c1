"""Plays scenarios: with the product, which must pass them all, and with planted bugs, which must be caught.

Several at a time, each with a folder, ports and processes of its own: mostly they wait for leases to run out.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from pathlib import Path

from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.service import Broken, complaints
from tests.chaos.world import world

AT_ONCE = 7
SEED = 1  # nothing here is left to chance
PRODUCT = ("receiver",)


async def play(folder: Path, scenario: str, module: tuple[str, ...] = PRODUCT) -> list[str]:
    """What was wrong."""
    chosen = SCENARIOS[scenario]
    try:
        async with world(folder, SEED, chosen.faults, module) as made:
            return await chosen.play(made)
    except Broken as broken:
        return [str(broken), *complaints(folder)]


async def failed(folder: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """The scenarios that the product does not pass, with what was wrong."""
    played = await _together({name: play(folder / name, name) for name in names})
    return {name: wrong for name, wrong in played.items() if wrong}


async def escaped(folder: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """The planted bugs that were not caught as what they are, with what was found instead."""
    mutants = {name: MUTANTS[name] for name in names}
    played = await _together(
        {name: play(folder / name, mutant.scenario, ("tests.chaos.mutant", name)) for name, mutant in mutants.items()}
    )
    return {name: wrong for name, wrong in played.items() if not any(mutants[name].caught_as in line for line in wrong)}


async def _together(plays: dict[str, Awaitable[list[str]]]) -> dict[str, list[str]]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(awaited: Awaitable[list[str]]) -> list[str]:
        async with places:
            return await awaited

    return dict(zip(plays, await asyncio.gather(*map(one, plays.values())), strict=True))
