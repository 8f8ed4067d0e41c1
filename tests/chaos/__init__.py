"""The crash test: `postern serve` is killed, stopped and stopped politely under load, and must keep its promises.

    python -m tests.chaos --kills 200 --events 20000        the long form; `test_chaos.py` is the short one

storm.py        the random form                    scenarios.py   single situations, each brought about on purpose
vendors.py load.py     who posts                   upstream.py faults.py   who is called, and how it fails
service.py project.py handlers.py   what is tested
judge.py        what must hold in the end          mutants.py mutant.py    planted bugs, which the test must catch

Everything that judges is written without the product: signatures, HTTP, and SQL of its own. All of it is one process
with one event loop; the service is its child. Chance comes from one seed, which is printed.
"""
