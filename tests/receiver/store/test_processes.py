"""A process's row for as long as it lives."""

from pathlib import Path

from receiver.process import Presence
from receiver.store import open_store, processes
from tests.support.rows import count, rows
from tests.support.until import until


def test_who_was_forgotten_while_it_stood_still_is_written_down_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/postern.db", create=True)
    file = tmp_path / "postern.db"
    presence = Presence(store, lambda tx: processes.register(tx, "receiver"), every_s=0.02)
    [first] = rows(file, "SELECT id FROM process")
    store.write_from_thread(lambda tx: tx.run("DELETE FROM process"))
    until(lambda: count(file, "process", "role = 'receiver'") == 1, what="the receiver's row")
    [again] = rows(file, "SELECT id FROM process")
    assert again != first
    presence.stop()
    assert count(file, "process", "stopped_at IS NOT NULL") == 1
    store.close()


def test_who_is_known_keeps_its_row(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/postern.db", create=True)
    enrolment = processes.Enrolment(lambda tx: processes.register(tx, "worker"))
    assert store.write_from_thread(enrolment.renew) == store.write_from_thread(enrolment.renew)
    store.close()
