"""What handlers raise that is more than an exception."""

import asyncio
import sys
from typing import Any

import pytest

from processors.contained import contained, contained_call


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_the_end_of_the_process_becomes_a_failure(error: BaseException) -> None:
    async def handler() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__) as caught:
        asyncio.run(contained(handler()))
    assert caught.traceback[-1].name == "handler"


def test_what_a_future_cannot_hold_becomes_a_failure() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        contained_call(next, iter(()))


def test_everything_else_passes() -> None:
    async def handler() -> int:
        return 1

    def plain(*args: Any) -> Any:
        return args

    assert asyncio.run(contained(handler())) == 1
    assert contained_call(plain, 1, 2) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        contained_call(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        contained_call(sys.exit)
