"""The crash test in its short form; the long one is `make chaos`. What it does is told in the package's docstring."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import proof
from tests.chaos.faults import ROUGH, Faults
from tests.chaos.layout import ALONE, ON_AMQP, ON_REDIS, Layout
from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.storm import Size, Storm
from tests.chaos.world import world
from tests.support.services import installed

pytestmark = pytest.mark.xdist_group("chaos")  # one after the other: each of them fills the machine
SEED = 7
ON_SERVERS = {name for name, scenario in SCENARIOS.items() if scenario.layout != ALONE}


def test_what_was_answered_2xx_is_stored_once_and_takes_effect_once_through_kills_of_every_kind(tmp_path: Path) -> None:
    size = Size(kills=5, events=200, calm_s=0.4, settle_s=60.0)
    assert asyncio.run(storm(tmp_path, ALONE, size)) == [], f"seed {SEED}"


def test_the_same_holds_on_many_processes_whose_servers_die_and_do_not_hear_each_other(tmp_path: Path) -> None:
    size = Size(kills=13, events=200, calm_s=0.25, settle_s=60.0)  # one of each kind
    for layout in (ON_REDIS, ON_AMQP):
        need(layout)

    async def both() -> list[list[str]]:  # side by side: mostly they wait
        return await asyncio.gather(*(storm(tmp_path / each.queue, each, size) for each in (ON_REDIS, ON_AMQP)))

    assert asyncio.run(both()) == [[], []], f"seed {SEED}"


async def storm(folder: Path, layout: Layout, size: Size) -> list[str]:
    async with world(folder, SEED, Faults(SEED, ROUGH), layout=layout) as made:
        return await Storm(made, size, print).rage()


def need(layout: Layout) -> None:
    for server in filter(None, layout.servers):
        installed(server)


@pytest.fixture(scope="module", params=[ALONE, ON_REDIS], ids=["one-process", "many-processes"])
def proven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> proof.Proof:
    need(request.param)
    names = SCENARIOS.keys() - ON_SERVERS if request.param == ALONE else ON_SERVERS
    mutants = [name for name, mutant in MUTANTS.items() if mutant.scenario in names]
    scenarios = [name for name in SCENARIOS if name in names]
    return asyncio.run(proof.prove(tmp_path_factory.mktemp("chaos"), scenarios, mutants))


def test_the_product_passes_each_single_situation_in_which_a_crash_could_do_harm(proven: proof.Proof) -> None:
    assert proven.failed == {}


def test_the_crash_test_catches_every_planted_bug(proven: proof.Proof) -> None:
    assert proven.escaped == {}
