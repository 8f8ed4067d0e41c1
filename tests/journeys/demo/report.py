"""What the demo prints: a line for each thing that happens, a table, what to type next. Colours only on a terminal."""

import os
import sys
import time
from collections.abc import Sequence
from shutil import get_terminal_size

from tests.journeys.demo.deliveries import Outcome, Sent

HEADINGS = ("EVENT", "SOURCE", "TYPE", "ANSWER", "STATE", "ATTEMPTS", "EFFECTS", "WHAT IS SPECIAL")
NUMBERS = ("ATTEMPTS", "EFFECTS")
BOLD, DIM, RED, GREEN, YELLOW = 1, 2, 31, 32, 33


class Report:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._waiting = False

    def title(self, text: str) -> None:
        self._print(self._in(BOLD, text))
        self._print()

    def say(self, text: str) -> None:
        """Something has happened."""
        self._print(self._timed(text))

    def wait_for(self, text: str) -> None:
        """Something takes a while; each `tick` shows that it goes on."""
        self._print(self._timed(text), end=" ")
        self._waiting = True

    def tick(self) -> None:
        print(".", end="", flush=True)

    def table(self, rows: Sequence[tuple[Sent, Outcome]]) -> None:
        lines = [HEADINGS, *(_cells(sent, outcome) for sent, outcome in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        if sum(widths) + 2 * len(widths) > get_terminal_size((200, 0)).columns:
            widths.pop()
        self._print()
        for line, colour in zip(lines, [BOLD, *(_colour(*row) for row in rows)], strict=True):
            self._print(self._in(colour, _aligned(line, widths)))
        self._print()

    def succeeded(self, text: str) -> None:
        self._print(self._in(GREEN, text))

    def failed(self, text: str) -> None:
        self._print(self._in(RED, text))

    def next(self, commands: Sequence[tuple[str, str]]) -> None:
        self._print("\nLook for yourself:")
        width = max(len(command) for command, _ in commands)
        for command, why in commands:
            self._print(f"  {command:{width}}  " + self._in(DIM, f"# {why}"))

    def _timed(self, text: str) -> str:
        return self._in(DIM, f"{time.monotonic() - self._started:6.1f} s") + f"  {text}"

    def _print(self, text: str = "", end: str = "\n") -> None:
        if self._waiting:
            print()
        self._waiting = False
        print(text, end=end, flush=True)

    def _in(self, colour: int, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._coloured else text


def _cells(sent: Sent, outcome: Outcome) -> tuple[str, ...]:
    numbers = ("-", "-") if sent.event is None else (str(outcome.attempts), str(outcome.effects))
    delivery = sent.delivery
    return (sent.event or "-", delivery.source, sent.type, outcome.answer, outcome.state, *numbers, delivery.note)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers stand to the right. Further cells than widths are left out: the terminal is too narrow for them."""
    columns = zip(cells, widths, HEADINGS, strict=False)
    return "  ".join(c.rjust(width) if name in NUMBERS else c.ljust(width) for c, width, name in columns).rstrip()


def _colour(sent: Sent, outcome: Outcome) -> int:
    if outcome != sent.delivery.expected:
        return RED
    return DIM if sent.event is None or outcome.state == "unhandled" else GREEN
