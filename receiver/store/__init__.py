"""The record: everything accepted, and what became of it. The only SQL of the product lives in this package.

models.py        the tables                    migrations/   how they came to be
writer.py        one thread, one commit for all that waits
intake.py        arrivals in                   runs.py steps.py processes.py activity.py   what else is written
reads.py         what operators ask            transaction.py sqlite.py   how a database is spoken to
"""

from typing import TYPE_CHECKING

from receiver.store.store import Store, open_store
from receiver.store.transaction import Transaction, Unavailable

if TYPE_CHECKING:
    from sqlmodel import Session as Session  # for annotations: at run time it is imported by the first reading

__all__ = ["Store", "Transaction", "Unavailable", "open_store"]
