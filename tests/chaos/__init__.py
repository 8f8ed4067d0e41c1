"""The crash test: Postern's processes and servers are killed, frozen and ended under load, and must keep its promises.

    python -m tests.chaos --store postgresql --queue redis --kills 200 --events 20000

storm.py ways.py    the random form                  scenarios.py   single situations, each brought about on purpose
layout.py proxy.py  processes, servers, lost replies project.py handlers.py service.py   what is tested
vendors.py load.py  who posts                        upstream.py faults.py   who is called, and how it fails
judge.py stores.py  what must hold in the end        mutants.py proof.py     planted bugs, each to be caught
world.py wire.py    all of it together, and HTTP     start/ clock.py   services start: with a bug, a wrong clock

Everything that judges is written without the product: signatures, HTTP, and SQL of its own. All of it is one process
with one event loop; services and servers are its children. Chance comes from one seed, which is printed.
`test_chaos.py` is the short form.
"""
