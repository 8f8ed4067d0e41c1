"""The peers of the handlers: the same work as a careful team would write it, with another queue and a plain driver.

ledger.py      the SQL: claim, intent, outcome, done       work.py   the task, the same for every peer
*_app.py       what each library wants: its task, its settings, how ids are put into its queue
enqueue.py     puts them there before the clock starts

The peers of the intake: what a team would put there instead.

receivers.py   how each is started, which signature it knows, what it keeps
fastapi_app.py, node_red.py   what a team writes for it; `webhook` needs only its configuration

Where the peers are spared what Postern does, it is said in `ledger.py` and `receivers.py`; nowhere are they asked for
more.
"""
