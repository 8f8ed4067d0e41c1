"""Starting the worker beside intake: what it shows meanwhile, and a stop before it is done."""

import threading

import pytest

from receiver.embedded import Embedded
from receiver.errors import UserError
from receiver.settings import Settings
from tests.support.until import until


class Worker:
    trouble = None

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.reread_as: list[Settings] = []

    def stop(self) -> None:
        self.stopped.set()

    def reread(self, settings: Settings) -> None:
        self.reread_as.append(settings)


def test_a_worker_is_told_of_new_settings_also_of_those_that_came_while_it_started() -> None:
    go, worker, settings = threading.Event(), Worker(), Settings()

    def make() -> Worker:
        go.wait()
        return worker

    embedded = Embedded(make)
    embedded.start()
    embedded.reread(settings)
    go.set()
    until(lambda: worker.reread_as == [settings], what="what came meanwhile")
    embedded.reread(settings)
    assert worker.reread_as == [settings, settings]


def test_a_stop_waits_for_a_start_and_stops_what_it_made() -> None:
    go, worker = threading.Event(), Worker()

    def make() -> Worker:
        go.wait()
        return worker

    embedded = Embedded(make)
    embedded.start()
    assert embedded.trouble == "starting"
    stopping = threading.Thread(target=embedded.stop, args=(60.0,))
    stopping.start()
    assert not worker.stopped.is_set()
    go.set()
    stopping.join()
    assert worker.stopped.is_set()


def test_a_start_that_does_not_end_is_given_up() -> None:
    go = threading.Event()

    def make() -> Worker:
        go.wait()
        return Worker()

    embedded = Embedded(make)
    embedded.start()
    embedded.stop(0.01)
    assert embedded.trouble == "starting"
    go.set()
    until(lambda: embedded.trouble is None, what="the end of the thread")


def test_whatever_a_start_raises_becomes_its_trouble() -> None:
    def make() -> Worker:
        raise SystemExit("a surprise")

    embedded = Embedded(make)
    embedded.start()
    until(lambda: embedded.trouble == "the worker did not start: SystemExit: a surprise", what="the trouble")
    embedded.stop()


def test_one_that_was_never_started_stops() -> None:
    Embedded(Worker).stop()


@pytest.mark.parametrize("error", [SystemExit("a surprise"), UserError("there is no store yet", "postern.db")])
def test_that_a_start_failed_is_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Worker:
        raise error

    failed = threading.Event()
    embedded = Embedded(make, failed.set)
    embedded.start()
    assert failed.wait(10)
    assert str(error.args[0]) in (embedded.trouble or "")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
