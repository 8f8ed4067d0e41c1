"""A handler with one outbound call, recorded before it leaves and after it is answered."""

from typing import Any

from processors import Context, Event, on


@on("stripe", "*")
async def call(event: Event[dict[str, Any]], ctx: Context) -> None:
    await ctx.api("upstream").post("/entries", json={"ref": event.data["id"], "cents": event.data["amount"]})
