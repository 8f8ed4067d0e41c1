"""Python runs this first in every process whose PYTHONPATH names this folder: services under test, and their children.

So a wrong clock or a planted bug reaches all of them, whoever starts them. Not imported by the harness.
"""

import os
import traceback

from tests.chaos.clock import CLOCK, STANDS_AT, shift, stop
from tests.chaos.mutants import MUTANT, plant

try:
    shift(float(os.environ.get(CLOCK, "0")))
    if at := os.environ.get(STANDS_AT):
        stop(int(at))
    if name := os.environ.get(MUTANT):
        plant(name)
except Exception:
    traceback.print_exc()
    raise SystemExit(f"the process could not be prepared: {name}") from None  # Python goes on after anything else
