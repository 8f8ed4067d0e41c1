"""Processor time of process trees, sampled beside them while they work.

A child that has ended and was waited for stands in its parent's account, so nothing is lost and nothing counted twice.
"""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

EVERY_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, itself first."""
    found = [pid]
    for parent in found:
        with suppress(FileNotFoundError):  # it has just gone
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, _read(children).split())
    return found


def tree_cpu_s(pid: int) -> float:
    return sum(_cpu_s(member) for member in tree(pid))


def rss_bytes(pid: int) -> int:
    """What the process has in memory that it shares with none: the interpreter's own pages would blur the sum."""
    return sum(
        int(line.split()[1]) * 1024
        for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


def _cpu_s(pid: int) -> float:
    after_name = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / _TICKS


def _read(path: Path) -> str:
    """Empty for a process that has just gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


class Samples:
    """By name, of one process tree or more: their processor time at each moment, on the wall clock."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._at: list[float] = []
        self._cpu_s: dict[str, list[float]] = {name: [] for name in pids}

    def take(self) -> None:
        self._at.append(time.time())
        for name, pids in self._pids.items():
            taken = self._cpu_s[name]
            taken.append(max(sum(map(tree_cpu_s, pids)), taken[-1] if taken else 0.0))

    def between(self, name: str, start: float, end: float) -> float | None:
        """Seconds of processor time; None of a tree that was not sampled."""
        return self._until(name, end) - self._until(name, start) if name in self._pids else None

    def _until(self, name: str, moment: float) -> float:
        """On the straight line between the samples around it."""
        cpu_s = self._cpu_s[name]
        after = min(max(1, bisect_left(self._at, moment)), len(self._at) - 1)
        before_at, after_at = self._at[after - 1], self._at[after]
        share = min(max((moment - before_at) / (after_at - before_at), 0.0), 1.0)
        return cpu_s[after - 1] + (cpu_s[after] - cpu_s[after - 1]) * share


@contextmanager
def sampling(pids: Mapping[str, Sequence[int]]) -> Iterator[Samples]:
    samples, ended = Samples(pids), threading.Event()

    def sample() -> None:
        while not ended.is_set():
            samples.take()
            ended.wait(EVERY_S)
        samples.take()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
