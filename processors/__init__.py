"""What the author of a handler imports; `processors.testing` is the other public module.

@on("stripe", "payment_intent.succeeded")
async def book(event: Event[PaymentIntent], ctx: Context) -> None: ...
"""

from processors.context import Context, SyncContext
from processors.errors import Drop, Park, Retry
from processors.event import Event
from processors.handler import on
from processors.outbound.upstream import Response

__all__ = ["Context", "Drop", "Event", "Park", "Response", "Retry", "SyncContext", "on"]
