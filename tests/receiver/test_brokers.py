"""The broker for hints over a link that fails; over real ones: tests/conformance/test_queue.py."""

from contextlib import closing

import pytest

from receiver.brokers import HintBroker, HintConsumer, hint


class Line:
    """Links that work or break as they are told, and how many there were."""

    def __init__(self) -> None:
        self.made = self.closed = self.sent = 0
        self.broken = self.refused = self.breaks_at_once = False

    def connect(self) -> "Line":
        if self.refused:
            raise ConnectionRefusedError("nobody there")
        self.made += 1
        self.broken = self.breaks_at_once
        return self

    def send(self) -> None:
        self._use()
        self.sent += 1

    def receive(self, within_s: float) -> bool:
        self._use()
        return True

    def _use(self) -> None:
        if self.broken:
            raise ConnectionResetError("cut")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def line() -> Line:
    return Line()


def test_one_link_sends_many_hints(line: Line) -> None:
    with closing(HintBroker(line.connect)) as broker:
        for _ in range(3):
            broker.enqueue(hint())
    assert (line.made, line.sent, line.closed) == (1, 3, 1)


def test_a_link_that_broke_while_it_was_idle_costs_no_hint(line: Line) -> None:
    with closing(HintBroker(line.connect)) as broker:
        broker.enqueue(hint())
        line.broken = True
        broker.enqueue(hint())
    assert (line.made, line.sent, line.closed) == (2, 2, 2)


def test_a_server_that_is_not_there_is_an_error_until_it_is_back(line: Line) -> None:
    with closing(HintBroker(line.connect)) as broker:
        line.refused = True
        with pytest.raises(ConnectionRefusedError):
            broker.enqueue(hint())
        line.refused = False
        broker.enqueue(hint())
    assert line.sent == 1


def test_a_link_that_never_worked_is_not_tried_again(line: Line) -> None:
    with closing(HintBroker(line.connect)) as broker:
        line.breaks_at_once = True
        for _ in range(3):
            with pytest.raises(ConnectionResetError):
                broker.enqueue(hint())
    assert (line.made, line.closed) == (3, 3)


def test_a_consumer_connects_again_by_itself_and_tells_it_once(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    with closing(HintConsumer(line.connect, timeout_s=0.001)) as consumer:
        assert next(consumer) is not None
        line.broken = line.refused = True
        assert [next(consumer) for _ in range(20)] == [None] * 20
        line.refused = False
        assert next(consumer) is not None
    assert (line.made, line.closed) == (2, 2)
    assert [record.getMessage() for record in caplog.records] == ["no hints arrive, work waits for the sweep: cut"]
