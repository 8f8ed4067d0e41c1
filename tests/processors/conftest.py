"""Handlers that a test registers are gone after it: `@on` writes into one list for the whole process."""

from collections.abc import Iterator

import pytest

from processors.handler import REGISTERED


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    yield
    REGISTERED[:] = [handler for handler in REGISTERED if not handler.function.__module__.startswith("tests.")]
