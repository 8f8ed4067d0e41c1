"""A handler that does not come to its end, in a worker that is told so; in another it ends at once."""

import asyncio
import os
from typing import Any

from processors import Context, Event, on

HOLD = "BENCHMARK_HOLD"
HELD_S = 250.0  # less than an attempt may take


@on("stripe", "*")
async def held(event: Event[dict[str, Any]], ctx: Context) -> None:
    if HOLD in os.environ:
        await asyncio.sleep(HELD_S)
