"""What operators ask of a large store is found by the indexes that are made for it."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event as sqlalchemy_event

from receiver.store import reads
from receiver.store.reads import Filters
from tests.support.stored import stored


@pytest.mark.parametrize(
    ("filters", "indexes"),
    [
        ({"status": "attention"}, {"run_parked"}),
        ({"status": "pending"}, {"run_unrouted", "run_due", "run_lease", "run_parked"}),
        ({"failing": True, "handler": "a"}, {"run_parked", "run_due", "run_lease"}),
    ],
)
def test_what_needs_a_look_is_found_by_the_partial_indexes(
    tmp_path: Path, filters: dict[str, object], indexes: set[str]
) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    with stored(tmp_path) as shop, shop.store.reading() as session:
        sqlalchemy_event.listen(
            session.get_bind(), "before_cursor_execute", lambda *said: asked.append((said[2], said[3]))
        )
        list(reads.events(session, Filters(**filters)))  # type: ignore[arg-type]
    with closing(sqlite3.connect(tmp_path / "postern.db")) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1])]
    assert set(re.findall(r"INDEX (run_\w+)", " ".join(plan))) == indexes
    assert not [line for line in plan if line.startswith("SCAN") and "run_" not in line]
