"""`python -m tests.journeys.demo [FOLDER]`: its project goes into FOLDER, a new one, or anew into var/demo."""

import shutil
import signal
import sys
from http.client import HTTPException
from pathlib import Path

from receiver.errors import UserError
from tests.journeys.demo.deliveries import DELIVERIES, LAST
from tests.journeys.demo.project import Trouble
from tests.journeys.demo.report import Report
from tests.journeys.demo.story import tell

USUAL = Path(__file__).parents[3] / "var" / "demo"


def main(arguments: list[str]) -> int:
    # A demo that is told to end takes its service with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(arguments[0]).absolute() if arguments else USUAL
    if folder == USUAL:
        shutil.rmtree(folder, ignore_errors=True)
    report = Report()
    try:
        return tell(folder, DELIVERIES, LAST, report)
    except (Trouble, UserError, OSError, HTTPException) as error:
        report.failed(f"the demo cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        report.failed("stopped, and the service with it")
        return 130


sys.exit(main(sys.argv[1:]))
