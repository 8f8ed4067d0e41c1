"""Shopify: paid orders into parcels. Shows two calls in a row, the second with what the first one answered.

    [sources.shopify]
    preset = "shopify"
    secrets = ["env:SHOPIFY_CLIENT_SECRET"]

    [apis.courier]
    base_url = "https://courier.internal"
    auth = {type = "api_key", key = "env:COURIER_KEY"}

    [handlers]
    modules = ["processors.handlers.shopify"]     # or the name of your copy

If the second call fails, the handler runs again: the first is then not sent, its recorded answer comes back.
"""

from pydantic import BaseModel

from processors import Context, Drop, Event, on


class LineItem(BaseModel):
    sku: str | None = None
    quantity: int
    requires_shipping: bool


class Address(BaseModel):
    name: str | None = None
    address1: str | None = None
    city: str | None = None
    zip: str | None = None
    country_code: str


class Order(BaseModel):
    id: int
    name: str
    line_items: list[LineItem]
    shipping_address: Address | None = None


class Parcel(BaseModel):
    """What is used of the courier's answer."""

    id: str


@on("shopify", "orders/paid")
async def ship(event: Event[Order], ctx: Context) -> None:
    order = event.data
    goods = [line.model_dump(include={"sku", "quantity"}) for line in order.line_items if line.requires_shipping]
    if not goods or order.shipping_address is None:
        raise Drop("nothing to ship")
    wanted = {"reference": order.name, "goods": goods, "to": order.shipping_address.model_dump()}
    parcel = await ctx.api("courier").post("/parcels", json=wanted, into=Parcel)
    await ctx.api("courier").post("/pickups", json={"parcel": parcel.id})
