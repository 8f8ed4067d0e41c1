"""`python -m tests.benchmarks.peers.enqueue APP COUNT`: the ids 1 to COUNT into that peer's queue."""

import sys
from importlib import import_module

if __name__ == "__main__":
    import_module(f"tests.benchmarks.peers.{sys.argv[1]}").enqueue(range(1, int(sys.argv[2]) + 1))
