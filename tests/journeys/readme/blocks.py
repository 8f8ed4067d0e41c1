"""The fenced blocks of a Markdown text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n\n?)?^```(?P<language>\w*) ?(?P<file>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    language: str
    file: str
    text: str
    why_not_run: str
    span: tuple[int, int]
    """Where the text stands in the whole."""
    line: int


def blocks(markdown: str) -> Iterator[Block]:
    for found in FENCE.finditer(markdown):
        line = markdown.count("\n", 0, found.start("language")) + 1
        yield Block(found["language"], found["file"], found["text"], found["why"] or "", found.span("text"), line)


def typed(console: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what it is shown to print."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output
