"""Hostile bytes by the million: made from honest requests, fed to the real intake, judged by a model of our own.

    python -m tests.fuzz [--inputs N] [--seed S] [--minutes M] [--sockets N] [--replay FILE]

`inputs.py` makes them, `framing.py` and `model.py` say what may be accepted at the most, and share no code with the
product; `judge.py` compares that with the answers. `vendors.py` has every preset there is, and no model of them. The
short form is `test_fuzz.py`.
"""
