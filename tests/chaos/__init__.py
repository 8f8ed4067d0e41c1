"""The crash test: `postern serve` is killed, frozen and ended under load, and must keep its promises.

    python -m tests.chaos --kills 200 --events 20000        the long form; `test_chaos.py` is the short one

storm.py        the random form                    scenarios.py   single situations, each brought about on purpose
vendors.py load.py     who posts                   upstream.py faults.py   who is called, and how it fails
service.py project.py handlers.py   what is tested                 world.py wire.py   all of it together, and HTTP
judge.py        what must hold in the end          mutants.py mutant.py proof.py   planted bugs, each to be caught

Everything that judges is written without the product: signatures, HTTP, and SQL of its own. All of it is one process
with one event loop; the services are its children. Chance comes from one seed, which is printed.
"""
