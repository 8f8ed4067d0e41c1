"""A private vendor, Acme: orders into a warehouse. Shows `Retry`, a loop with named steps, and a signature by data.

    [sources.acme]
    scheme = "hmac"
    secrets = ["env:ACME_SECRET"]
    signature = "header:X-Acme-Signature"
    signature_format = "t={timestamp},v1={signature}"
    content = "{timestamp}.{body}"
    id = "body:id"
    type = "body:type"
    data = "body:data"

    [apis.warehouse]
    base_url = "https://warehouse.internal"

    [handlers]
    modules = ["processors.handlers.private"]     # or the name of your copy

A vendor whose signature can be said in these keys needs no code on the receiving side.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from processors import Context, Event, Park, Retry, on

# The pattern matters where the number becomes part of a path: it cannot lead elsewhere.
OrderNumber = Annotated[str, StringConstraints(pattern=r"^A-[0-9]+$")]


class Line(BaseModel):
    sku: str
    quantity: int = Field(gt=0)
    price: Decimal


class Order(BaseModel):
    order: OrderNumber
    customer: str
    lines: list[Line]


class Cancellation(BaseModel):
    order: OrderNumber
    reason: str


class Batch(BaseModel):
    batch: str
    orders: list[OrderNumber]


@on("acme", "order.created")
async def reserve(event: Event[Order], ctx: Context) -> None:
    order = event.data.model_dump(mode="json")
    await ctx.api("warehouse").post("/orders", json=order)


@on("acme", "order.cancelled")
async def release(event: Event[Cancellation], ctx: Context) -> None:
    # Events come in any order: the cancellation may be here before its order is.
    path = f"/orders/{event.data.order}"
    found = await ctx.api("warehouse").get(path, expect={404})
    if found.status == 404 and ctx.attempt < 10:
        raise Retry(after=60)
    if found.status == 404:
        raise Park(f"the warehouse never heard of {event.data.order}")
    await ctx.api("warehouse").delete(path)


@on("acme", "batch.sealed")
async def seal(event: Event[Batch], ctx: Context) -> None:
    for order in event.data.orders:
        # In a loop each call gets a name, so that it keeps its own record even if the list comes in another order.
        await ctx.api("warehouse").post(f"/orders/{order}/seal", json={"batch": event.data.batch}, step=f"seal {order}")
