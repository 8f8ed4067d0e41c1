"""A handler that does nothing: what is left is what a run costs."""

from typing import Any

from processors import Context, Event, on


@on("stripe", "*")
async def trivial(event: Event[dict[str, Any]], ctx: Context) -> None:
    pass
