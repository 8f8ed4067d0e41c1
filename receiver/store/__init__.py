"""The record: everything accepted, and what became of it. The only SQL of the product lives in this package.

models.py        the tables                    migrations/   how they came to be
writer.py        one thread, one commit for all that waits
intake.py        arrivals in                   runs.py steps.py processes.py activity.py   what else is written
routing.py       which handlers take it        reads.py replays.py   what operators ask and order
schema.py        when tables are upgraded      database.py transaction.py sqlite.py postgresql.py   how one is spoken to
move.py bulk.py  a whole store into another
"""

from typing import TYPE_CHECKING

from receiver.store.store import Store, open_store
from receiver.store.transaction import Transaction, Unavailable
from receiver.store.writer import Together

if TYPE_CHECKING:
    from sqlmodel import Session as Session  # for annotations: at run time it is imported by the first reading

__all__ = ["Store", "Together", "Transaction", "Unavailable", "open_store"]
