"""Hints through RabbitMQ: a short queue, publisher confirms, a time limit for every answer.

On pika's SelectConnection, because its blocking connection waits for answers without a limit: a server that hangs would
hold the thread.
"""

import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop

from receiver.brokers import ANSWER_S, KEPT

# Its declaration cannot change: with other arguments it needs another name.
NAME = "postern.hints"
ARGUMENTS = {"x-queue-type": "classic", "x-max-length": KEPT, "x-overflow": "drop-head"}
# No heartbeats: the link that sends sleeps between hints. The system notices a server that has vanished.
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


def parameters_of(url: str) -> pika.URLParameters:
    """Errors: ValueError for an address that cannot be read."""
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = ANSWER_S
    parameters.connection_attempts = 1
    parameters.heartbeat = 0
    parameters.tcp_options = KEEPALIVE
    return parameters


class AmqpLink:
    def __init__(self, parameters: pika.ConnectionParameters) -> None:
        self._loop = IOLoop()
        self._error: BaseException | None = None
        self._confirmed = True
        self._arrived: int | None = None
        self._consuming = False
        self._connection = pika.SelectConnection(parameters, None, self._broke, self._broke, self._loop)
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        self._answer(self._connection.add_on_open_callback)
        self._channel = self._answer(lambda then: self._connection.channel(on_open_callback=then))
        self._channel.add_on_close_callback(self._broke)
        self._channel.add_on_cancel_callback(lambda _: self._broke(None, ConnectionError(f"{NAME} is gone")))
        self._channel.add_on_return_callback(lambda *_: self._broke(None, ConnectionError(f"{NAME} is gone")))
        self._answer(lambda then: self._channel.queue_declare(NAME, durable=True, arguments=ARGUMENTS, callback=then))
        self._answer(lambda then: self._channel.confirm_delivery(self._on_confirm, then))

    def send(self) -> None:
        self._confirmed = False
        self._channel.basic_publish("", NAME, b"look", mandatory=True)
        self._demand(lambda: self._confirmed)

    def receive(self, within_s: float) -> bool:
        if not self._consuming:
            self._consume()
        self._within(within_s, lambda: self._arrived)
        tag, self._arrived = self._arrived, None
        if tag is not None:
            self._channel.basic_ack(tag)
        return tag is not None

    def _consume(self) -> None:
        # One at a time: what one worker holds, no other can have.
        self._answer(lambda then: self._channel.basic_qos(prefetch_count=1, callback=then))
        self._answer(lambda then: self._channel.basic_consume(NAME, self._hint, callback=then))
        self._consuming = True

    def close(self) -> None:
        if self._error is None:
            self._connection.close()
            self._pump(lambda: self._connection.is_closed, ANSWER_S)
        if not self._connection.is_closed:
            # No public way ends a connection whose server does not answer.
            self._connection._terminate_stream(ConnectionError("given up"))
            self._pump(lambda: self._connection.is_closed, ANSWER_S)
        self._loop.close()

    def _answer(self, ask: Callable[[Callable[..., None]], object]) -> Any:
        """What pika calls back with."""
        answers: list[Any] = []

        def answered(*answer: Any) -> None:
            answers.extend(answer or [None])
            self._loop.stop()

        ask(answered)
        self._demand(lambda: answers)
        return answers[0]

    def _demand(self, done: Callable[[], object]) -> None:
        if not self._within(ANSWER_S, done):
            self._error = TimeoutError(f"RabbitMQ did not answer within {ANSWER_S:g} s")
            raise self._error

    def _within(self, limit_s: float, done: Callable[[], object]) -> bool:
        self._pump(lambda: self._error or done(), limit_s)
        if self._error is not None:
            raise ConnectionError(f"RabbitMQ: {_cause(self._error)!r}") from self._error
        return bool(done())

    def _pump(self, done: Callable[[], object], limit_s: float) -> None:
        """Let pika work until `done`, which is asked after every callback, or until the time is over."""
        until = time.monotonic() + limit_s
        while not done() and (left_s := until - time.monotonic()) > 0:
            timer = self._loop.call_later(left_s, self._loop.stop)
            self._loop.start()
            self._loop.remove_timeout(timer)

    def _broke(self, _: object, error: BaseException) -> None:
        self._error = self._error or error  # the first one is the cause
        self._loop.stop()

    def _on_confirm(self, answer: Any) -> None:
        if isinstance(answer.method, pika.spec.Basic.Nack):
            self._broke(None, ConnectionError(f"{NAME} takes nothing"))
        self._confirmed = True
        self._loop.stop()

    def _hint(self, _channel: object, delivery: Any, _properties: object, _body: bytes) -> None:
        self._arrived = delivery.delivery_tag
        self._loop.stop()


def _cause(error: BaseException) -> BaseException:
    """What happened: pika wraps it up to three times."""
    inside = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    wrapped = [each for each in inside if isinstance(each, BaseException)]
    return _cause(wrapped[-1]) if wrapped else error
