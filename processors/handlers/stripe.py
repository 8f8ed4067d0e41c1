"""Stripe: payments and refunds into a ledger. Shows a typed event, `Drop`, and one call that takes effect once.

    [sources.stripe]
    preset = "stripe"
    secrets = ["env:STRIPE_WEBHOOK_SECRET"]

    [apis.ledger]
    base_url = "https://ledger.internal"
    auth = {type = "bearer", token = "env:LEDGER_TOKEN"}

    [handlers]
    modules = ["processors.handlers.stripe"]      # or the name of your copy

The models hold only what is used: fields that Stripe adds or changes elsewhere cannot break a handler.
"""

from pydantic import BaseModel

from processors import Context, Drop, Event, on


class PaymentIntent(BaseModel):
    id: str
    amount_received: int
    currency: str
    customer: str | None = None


class Charge(BaseModel):
    id: str
    amount_refunded: int
    currency: str


@on("stripe", "payment_intent.succeeded")
async def book_payment(event: Event[PaymentIntent], ctx: Context) -> None:
    payment = event.data
    if payment.customer is None:
        raise Drop("anonymous payment")
    entry = {"reference": payment.id, "cents": payment.amount_received, "currency": payment.currency}
    await ctx.api("ledger").post("/entries", json=entry)


@on("stripe", "charge.refunded")
async def book_refund(event: Event[Charge], ctx: Context) -> None:
    # The amount is the charge's total so far, and Stripe promises no order: the ledger keeps the largest.
    charge = event.data
    refunded = {"charge": charge.id, "total_cents": charge.amount_refunded, "currency": charge.currency}
    await ctx.api("ledger").post("/refunds", json=refunded)
