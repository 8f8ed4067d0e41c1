"""`python -m tests.chaos`: the random form at any size. Exit code 1, with the seed and the store's folder, if it fails."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults import ROUGH, Faults
from tests.chaos.storm import Size, Storm
from tests.chaos.world import world


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="postern-chaos-", dir=options.folder))
    size = Size(options.kills, options.events, options.calm)
    print(f"seed {options.seed}, {size.kills} kills, {size.events} events, in {folder}", flush=True)
    module = ("tests.chaos.mutant", options.mutant) if options.mutant else ("receiver",)
    wrong = asyncio.run(_storm(folder, options.seed, size, module))
    for line in wrong:
        print(f"WRONG  {line}", flush=True)
    if wrong:
        print(f"failed; again with: python -m tests.chaos {_again(options)}\nstore and logs are left in {folder}")
        return 1
    shutil.rmtree(folder)
    print("every 2xx stored once, every event final, every effect once, nothing forged")
    return 0


async def _storm(folder: Path, seed: int, size: Size, module: tuple[str, ...]) -> list[str]:
    async with world(folder, seed, Faults(seed, ROUGH), module) as made:
        storm = Storm(made, size, lambda line: print(line, flush=True))
        wrong = await storm.rage()
        print(storm.line(), flush=True)
        print(storm.coverage(), flush=True)
    return wrong


def _again(options: argparse.Namespace) -> str:
    return f"--kills {options.kills} --events {options.events} --calm {options.calm} --seed {options.seed}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--calm", type=float, default=2.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--folder", type=Path, help="where the store lives; by default the system's temporary one")
    parser.add_argument("--mutant", help="plant a bug of mutants.py")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
