"""The handlers under test, and what each must have done once its run has succeeded.

Every effect says in its body whose it is, so that the upstream can count it. An event's `mood` is its vendor's wish:
`stumble` lets the first attempt fail in the middle, `again` asks for another, `drop` has nothing done at all.
"""

import asyncio
import json
import os
from typing import Any

from pydantic import BaseModel

from processors import Context, Drop, Event, Retry, SyncContext, on
from tests.chaos.wire import message, read_message

NOTES = "CHAOS_NOTES"  # the file to which `jot` writes
LEDGER = "CHAOS_LEDGER"  # the ledger's port, for a client that is not Postern's
RECEIPT_S = 1.0

EFFECTS = {
    "book": ("entry",),
    "jot": (),
    "ship": ("pick", "receipt", "send"),
    "notify": ("to-ann", "to-bob", "log"),
    "tell": ("told",),
    "mirror": ("mirrored",),
    "charge": ("price-7",),
    "weigh": ("price-7",),
    "pay": ("paid",),
}
"""The steps of each handler that take effect at an upstream, at its usual price."""
HANDLERS = {
    "payment_intent.succeeded": ("book", "jot"),
    "charge.refunded": ("ship",),
    "push": ("notify",),
    "ping": (),
    "invoice.paid": ("tell", "mirror"),
    "price.asked": ("charge", "weigh"),
    "bill.due": ("pay",),
}
UNKEYED = frozenset({"tell", "jot"})
"""What these do cannot safely be repeated: where its outcome is unknown, their runs are parked as ambiguous."""
REPEATED = frozenset({"mirror"})
"""What these do may be repeated: PUT, to an upstream without keys."""


class Order(BaseModel):
    mood: str


def effect(event: Event[Any], handler: str, step: str) -> dict[str, str]:
    return {"event": event.external_id, "handler": handler, "step": step}


def steer(event: Event[Order], attempt: int) -> None:
    if event.data.mood == "drop":
        raise Drop("not wanted")
    if event.data.mood == "again" and attempt == 1:
        raise Retry(after=0.1)


def stumble(event: Event[Order], attempt: int) -> None:
    if event.data.mood == "stumble" and attempt == 1:
        raise RuntimeError("stumbled")


@on("stripe", "payment_intent.*")
async def book(event: Event[Order], ctx: Context) -> None:
    steer(event, ctx.attempt)
    answer = await ctx.api("ledger").post("/effects", json=effect(event, "book", "entry"))
    stumble(event, ctx.attempt)
    if answer.json()["step"] != "entry":
        raise Drop(f"somebody else's answer: {answer.text}")


@on("stripe", "payment_intent.succeeded")
def jot(event: Event[Order], ctx: SyncContext) -> None:
    steer(event, ctx.attempt)
    ctx.step("note", note, event.external_id)
    stumble(event, ctx.attempt)


def note(external_id: str) -> None:
    """One write, so that lines of several processes do not mix."""
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, f"{external_id}\n".encode())
    finally:
        os.close(file)


@on("stripe", "charge.refunded")
async def ship(event: Event[Order], ctx: Context) -> None:
    steer(event, ctx.attempt)
    ledger = ctx.api("ledger")
    picked = await ledger.post("/effects", json=effect(event, "ship", "pick"))
    stumble(event, ctx.attempt)
    parcel = await ctx.step("receipt", receipt, effect(event, "ship", "receipt"), ctx.key("receipt"), repeatable=True)
    # Answers of earlier attempts go into this one's bytes: were they other ones, the step would have drifted.
    await ledger.post("/effects", json={**effect(event, "ship", "send"), "of": [picked.json()["effect"], parcel]})


async def receipt(content: dict[str, str], key: str) -> str:
    """As a vendor's own library would: a client that Postern knows nothing of, with Postern's key."""
    async with asyncio.timeout(RECEIPT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[LEDGER]))
        try:
            body = json.dumps(content).encode()
            writer.write(message("POST /receipts HTTP/1.1", [("Idempotency-Key", key)], body))
            answer = await read_message(reader)
        finally:
            writer.close()
    if answer.status != 200:
        raise RuntimeError(f"the ledger answered {answer.status}")
    number: str = answer.json()["effect"]
    return number


@on("github", "push")
def notify(event: Event[Order], ctx: SyncContext) -> None:
    steer(event, ctx.attempt)
    ledger = ctx.api("ledger")
    for step in ("to-ann", "to-bob"):
        ledger.post("/effects", json=effect(event, "notify", step), step=step)
        stumble(event, ctx.attempt)
    ledger.put("/log", json=effect(event, "notify", "log"))


@on("standardwebhooks", "invoice.paid")
async def tell(event: Event[Order], ctx: Context) -> None:
    steer(event, ctx.attempt)
    await ctx.api("plain").post("/effects", json=effect(event, "tell", "told"))


@on("standardwebhooks", "invoice.*")
async def mirror(event: Event[Order], ctx: Context) -> None:
    steer(event, ctx.attempt)
    await ctx.api("plain").put("/mirror", json=effect(event, "mirror", "mirrored"))
    stumble(event, ctx.attempt)


@on("standardwebhooks", "price.asked")
async def charge(event: Event[Order], ctx: Context) -> None:
    """What it does depends on what it read: two attempts at once would do two things, had they both the right to."""
    api = ctx.api("patient")
    price = (await api.get("/price", params={"of": f"{event.external_id}/charge"})).json()["price"]
    step = f"price-{price}"
    await api.post("/effects", json=effect(event, "charge", step), step=step)


@on("standardwebhooks", "price.asked")
def weigh(event: Event[Order], ctx: SyncContext) -> None:
    """The same in a thread."""
    api = ctx.api("patient")
    price = api.get("/price", params={"of": f"{event.external_id}/weigh"}).json()["price"]
    step = f"price-{price}"
    api.post("/effects", json=effect(event, "weigh", step), step=step)


@on("standardwebhooks", "bill.due")
async def pay(event: Event[Order], ctx: Context) -> None:
    """Each attempt makes other bytes for the same step."""
    body = {**effect(event, "pay", "paid"), "attempt": str(ctx.attempt)}
    await ctx.api("patient").post("/effects", json=body, step="paid")
