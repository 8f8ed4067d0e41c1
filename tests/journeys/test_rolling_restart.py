"""A rolling restart under load, in short: everybody once. The long form is `python -m tests.journeys.rolling`."""

from pathlib import Path

import pytest

from tests.journeys.rolling import roll, services


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_everybody_is_restarted_and_nobody_sees_it(store: str, tmp_path: Path) -> None:
    with services(tmp_path, store, "redis") as (store_url, queue_url):
        roll(tmp_path, store_url, queue_url, restarts=4)
