"""`python -m tests.journeys.readme`: follows the README, and writes into it what its commands print today."""

import tempfile
from pathlib import Path

from tests.journeys.readme import README, free_port
from tests.journeys.readme.blocks import blocks
from tests.journeys.readme.reader import Reader
from tests.support.upstream import upstream

LOOKED_S = 3.0


def main() -> None:
    text = README.read_text()
    with (
        tempfile.TemporaryDirectory() as home,
        upstream() as ledger,
        Reader(Path(home).resolve(), free_port(), ledger, LOOKED_S) as reader,
    ):
        came = [(block.span, reader.follow(block)) for block in blocks(text) if not block.why_not_run]
    for (start, end), now in reversed(came):
        text = text[:start] + now + text[end:]
    README.write_text(text)


main()
