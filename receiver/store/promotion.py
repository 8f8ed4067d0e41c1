"""A kept rejection becomes the events that it would have been: stored as if it had been accepted at its receipt.

Whether it may is not asked here: `receiver.reverify`.
"""

from collections.abc import Sequence

from receiver.store import activity, intake
from receiver.store.ids import text
from receiver.store.intake import Arrival, Recorded
from receiver.store.runs import Line, remember
from receiver.store.transaction import Transaction


def promote(tx: Transaction, rejection_id: int, arrival: Arrival, key: str) -> Sequence[Recorded] | None:
    """What became of its events, in their order; None, and nothing is done, where the rejection is gone.

    It goes in the same commit: so it is promoted once, whoever tries, and whatever dies between.
    """
    if not tx.run("DELETE FROM rejection WHERE id = :id", id=rejection_id):
        return None
    [events] = intake.add(tx, [arrival])
    told = f"refused at its receipt and kept as {text('rej', rejection_id)}; verified again with {key}"
    remember(tx, *(Line(event.id, None, "promoted", None, told) for event in events if not event.duplicate))
    tx.run(
        "UPDATE source SET refused_since_accepted = refused_since_accepted - 1"
        " WHERE name = :name AND refused_since_accepted > 0",
        name=arrival.source,
    )
    activity.write(tx, _noted(events, arrival, key))
    return events


def _noted(events: Sequence[Recorded], arrival: Arrival, key: str) -> activity.Gathered:
    noted = activity.Activity()
    for event in events:
        if event.duplicate:
            noted.duplicate(arrival.source, event.id, arrival.received_us, key, differs=event.differs)
        else:
            noted.accepted(arrival.source, arrival.received_us, key)
    return noted.take()
