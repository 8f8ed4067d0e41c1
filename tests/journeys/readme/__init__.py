"""The README as somebody follows it: every block is done in its order, and comes out as it is shown.

blocks.py what stands between the fences · reader.py does it, with a terminal for the server and one for the rest ·
likeness.py what may differ from one time to the next.

    ```console            each line after "$ " is typed; what stands below is what it prints
    ```diff FILE          the change is made to the file
    ```toml FILE          the lines are added to the file
    ```python FILE        the file is written anew
    ```toml, ```python    without a file: read as a configuration, checked by mypy

A block after <!-- not run: WHY --> is only shown. `python -m tests.journeys.readme` writes into the README what its
commands print today.
"""

import random
import socket
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"


def free_port() -> int:
    """Not one of those that the system gives to callers: between two starts of the server one of them would take it."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
