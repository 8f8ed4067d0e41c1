"""`python -m tests.chaos.mutant NAME serve …` is `python -m receiver serve …` with one bug in it."""

import sys

from tests.chaos.mutants import plant


def main() -> None:
    plant(sys.argv.pop(1))
    from receiver.cli import main  # only now: whoever imports the function by name must get the planted one

    main()


if __name__ == "__main__":
    main()
