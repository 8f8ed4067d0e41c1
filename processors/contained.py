"""A handler's code, called so that nothing it raises can hurt whoever called it. What it means is `attempt.py`'s."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

R = TypeVar("R")


async def contained(work: Awaitable[R]) -> R:
    """`sys.exit()` in a handler is a failure of that handler: let through, it would end the engine's event loop."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the handler raised {error!r}").with_traceback(error.__traceback__) from None


def contained_call(function: Callable[..., R], *args: Any) -> R:
    """For threads: a future cannot hold a StopIteration, and whoever waits for it would wait for ever."""
    try:
        return function(*args)
    except StopIteration as error:
        raise RuntimeError(f"the handler raised {error!r}").with_traceback(error.__traceback__) from None
