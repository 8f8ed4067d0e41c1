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
from tests.chaos.layout import QUEUES, STORES, Layout, layout
from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.service import Broken, complaints
from tests.chaos.storm import Size, Storm
from tests.chaos.world import world
from tests.support.servers import Missing


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="postern-chaos-", dir=options.folder))
    if options.mutant:
        return _escaped(folder, options.mutant)
    if options.scenario:
        wrong = asyncio.run(proof.play(folder / options.scenario, options.scenario))
    else:
        size = Size(options.kills, options.events, options.calm)
        print(f"{_again(options)}, in {folder}", flush=True)
        wrong = asyncio.run(_storm(folder, options.seed, size, layout(options.store, options.queue)))
    for line in wrong:
        print(f"WRONG  {line}")
    if wrong:
        print(f"failed; again with: {options.scenario or _again(options)}\nstore and logs are left in {folder}")
        return 1
    shutil.rmtree(folder)
    print("every 2xx stored once, every event final, every effect once, nothing forged")
    return 0


def _again(options: argparse.Namespace) -> str:
    names = ("store", "queue", "kills", "events", "calm", "seed")
    return " ".join(f"--{name} {getattr(options, name)}" for name in names)


def _escaped(folder: Path, mutant: str) -> int:
    escaped = asyncio.run(proof.prove(folder, [], [mutant])).escaped
    if escaped:
        print(f"{mutant}: not caught; found was {escaped[mutant]}, in {folder}")
        return 1
    shutil.rmtree(folder)
    print(f"{mutant}: caught")
    return 0


async def _storm(folder: Path, seed: int, size: Size, over: Layout) -> list[str]:
    try:
        async with world(folder, seed, Faults(seed, ROUGH), layout=over) as made:
            storm = Storm(made, size, lambda line: print(line, flush=True))
            wrong = await storm.rage()
            print(f"{storm.line()}\n{storm.coverage()}", flush=True)
            return wrong
    except (Broken, Missing) as error:
        return [str(error), *complaints(folder)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--queue", choices=QUEUES, default="memory", help="other than memory: with two workers")
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
