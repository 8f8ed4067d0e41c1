"""The long form: as many inputs as wanted, and the first that breaks a promise, kept to be tried again."""

import argparse
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz import inputs, vendors
from tests.fuzz.gate import Gate
from tests.fuzz.sockets import converse

FAILURES = Path("var/fuzz")
AT_ONCE = 64
A_GATE = 20_000  # inputs, before the store is made anew
TELL_S = 10.0


class Kind(NamedTuple):
    make: Callable[[Random], list[bytes]]
    gate: Callable[[], Gate]


KINDS = {
    "model": Kind(inputs.make, Gate),
    "vendors": Kind(vendors.make, lambda: Gate(vendors.sources(), vendors.AT, vendors.complaints)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--minutes", type=float, default=600.0, help="end after that, however many there were")
    parser.add_argument("--sockets", type=int, default=0, metavar="N", help="N of them first over real sockets, too")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try the input that was kept in it")
    options = parser.parse_args(arguments)
    if options.replay:
        return replay(options.replay)
    print(f"{options.inputs:,} inputs, --seed {options.seed}", flush=True)
    kept = over_sockets(options.sockets, options.seed) and run(options.inputs, options.seed, 60 * options.minutes)
    return 0 if kept else 1


def run(inputs: int, seed: int, within_s: float) -> bool:
    """Whether all promises were kept."""
    started = told = time.monotonic()
    done, statuses = 0, Counter[int]()
    for name in cycle(["model", "model", "model", "vendors"]):
        with KINDS[name].gate() as gate:
            for batch in batches(seed, done, min(inputs, done + A_GATE), make=KINDS[name].make):
                if broken(name, seed, done, batch, gate.complaints(batch)):
                    return False
                done += len(batch)
                now = time.monotonic()
                if now > started + within_s:
                    break
                if now > told + TELL_S:
                    told = now
                    print(f"{done:>12,}  {done / (now - started):,.0f}/s", flush=True)
        statuses += gate.statuses
        if done == inputs or now > started + within_s:
            break
    print(", ".join(f"{number:,} × {status}" for status, number in statuses.most_common()))
    print(f"{done:,} inputs in {time.monotonic() - started:.0f} s, and every promise was kept")
    return True


def over_sockets(inputs: int, seed: int) -> bool:
    for batch in batches(seed, 0, inputs, 1000):
        *judged, said = converse(batch)
        if broken("model", seed, 0, batch, judged):
            return False
        if said:
            print("\n".join(said))
            return False
    print(f"{inputs:,} of them over sockets, and every promise was kept", flush=True)
    return True


def batches(
    seed: int, first: int, end: int, at_once: int = AT_ONCE, make: Callable[[Random], list[bytes]] = inputs.make
) -> Iterator[list[list[bytes]]]:
    """Each input has a seed of its own, so that one is found again without those before it."""
    numbers = iter(range(first, end))
    while taken := list(islice(numbers, at_once)):
        yield [make(Random(f"{seed}.{number}")) for number in taken]


def broken(kind: str, seed: int, first: int, batch: list[list[bytes]], judged: list[list[str]]) -> bool:
    """Whether there is a complaint; the first is shown, and its input kept."""
    for number, (pieces, found) in enumerate(zip(batch, judged, strict=True), first):
        if found:
            FAILURES.mkdir(parents=True, exist_ok=True)
            file = FAILURES / f"{seed}.{number}.json"
            coded = [base64.b64encode(piece).decode() for piece in pieces]
            file.write_text(json.dumps({"kind": kind, "found": found, "pieces": coded}))
            print(f"input {number}:")
            show(pieces, found)
            print(f"kept: python -m tests.fuzz --replay {file}")
            return True
    return False


def replay(file: Path) -> int:
    kept = json.loads(file.read_text())
    pieces = [base64.b64decode(piece) for piece in kept["pieces"]]
    with KINDS[kept["kind"]].gate() as gate:
        [found] = gate.complaints([pieces])
    show(pieces, found)
    return 1 if found else 0


def show(pieces: list[bytes], found: list[str]) -> None:
    for piece in pieces:
        print(f"  > {piece[:1500]!r}{' …' if len(piece) > 1500 else ''}")
    print("\n".join(f"  ! {what}" for what in found) or "  every promise is kept")


if __name__ == "__main__":
    sys.exit(main())
