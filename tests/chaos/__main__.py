"""`python -m tests.chaos`: the storm at any size; or one scenario, or one planted bug. Exit code 1 if it fails.

Then it prints what was wrong, the seed, and the folder in which store and logs are left.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import proof
from tests.chaos.faults import ROUGH, Faults
from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.storm import Size, Storm
from tests.chaos.world import world


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="postern-chaos-", dir=options.folder))
    if options.mutant:
        return _escaped(folder, options.mutant)
    if options.scenario:
        wrong = asyncio.run(proof.play(folder / options.scenario, options.scenario))
    else:
        size = Size(options.kills, options.events, options.calm)
        print(f"seed {options.seed}, {size.kills} kills, {size.events} events, in {folder}", flush=True)
        wrong = asyncio.run(_storm(folder, options.seed, size))
    for line in wrong:
        print(f"WRONG  {line}")
    if wrong:
        again = f"--kills {options.kills} --events {options.events} --calm {options.calm} --seed {options.seed}"
        print(f"failed; again with: {options.scenario or again}\nstore and logs are left in {folder}")
        return 1
    shutil.rmtree(folder)
    print("every 2xx stored once, every event final, every effect once, nothing forged")
    return 0


def _escaped(folder: Path, mutant: str) -> int:
    escaped = asyncio.run(proof.prove(folder, [], [mutant])).escaped
    found = f"not caught; found was {escaped[mutant]}, in {folder}" if escaped else "caught"
    print(f"{mutant}: {found}")
    return bool(escaped)


async def _storm(folder: Path, seed: int, size: Size) -> list[str]:
    async with world(folder, seed, Faults(seed, ROUGH), proof.PRODUCT) as made:
        storm = Storm(made, size, lambda line: print(line, flush=True))
        wrong = await storm.rage()
        print(f"{storm.line()}\n{storm.coverage()}", flush=True)
    return wrong


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--calm", type=float, default=1.5, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--folder", type=Path, help="where the store lives; by default the system's temporary one")
    parser.add_argument("--scenario", choices=SCENARIOS, help="play this one instead")
    parser.add_argument("--mutant", choices=MUTANTS, help="plant this bug, and play the scenario that must catch it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
