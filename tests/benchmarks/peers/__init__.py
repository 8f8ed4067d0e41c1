"""The peers: the same work as a careful team would write it by hand, with another queue and a plain driver.

ledger.py      the SQL: claim, intent, outcome, done       work.py   the task, the same for every peer
*_app.py       what each library wants: its task, its settings, how ids are put into its queue
enqueue.py     puts them there before the clock starts

Where the peers are spared what Postern does, it is said in `ledger.py`; nowhere are they asked for more.
"""
