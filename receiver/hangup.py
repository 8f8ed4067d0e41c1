"""SIGHUP asks a process to read its configuration again; but it also comes when the terminal has gone: then it ends.

One that comes before there is a handler would end the process: it is held from the start on, until it can be heeded.
"""

import os
import signal
import sys

_HANGUP = {signal.SIGHUP}
_TERMINAL = sys.stderr.fileno() if sys.stderr.isatty() else None


def terminal_has_gone() -> bool:
    """The one that the process was started at, if any."""
    return _TERMINAL is not None and not os.isatty(_TERMINAL)


def hold() -> None:
    """It waits, also for another program in our place."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)


def release() -> None:
    """One that has waited comes now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)
