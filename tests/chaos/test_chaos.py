"""The crash test in its short form; the long one is `make chaos`. What it does is told in the package's docstring."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import proof
from tests.chaos.faults import ROUGH, Faults
from tests.chaos.storm import Size, Storm
from tests.chaos.world import world

SEED = 7
SIZE = Size(kills=5, events=200, calm_s=0.4, settle_s=60.0)


def test_what_was_answered_2xx_is_stored_once_and_takes_effect_once_through_kills_of_every_kind(tmp_path: Path) -> None:
    async def storm() -> list[str]:
        async with world(tmp_path, SEED, Faults(SEED, ROUGH), proof.PRODUCT) as made:
            return await Storm(made, SIZE, print).rage()

    assert asyncio.run(storm()) == [], f"seed {SEED}"


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> proof.Proof:
    return asyncio.run(proof.prove(tmp_path_factory.mktemp("chaos")))


def test_the_product_passes_each_single_situation_in_which_a_crash_could_do_harm(proven: proof.Proof) -> None:
    assert proven.failed == {}


def test_the_crash_test_catches_every_planted_bug(proven: proof.Proof) -> None:
    assert proven.escaped == {}
