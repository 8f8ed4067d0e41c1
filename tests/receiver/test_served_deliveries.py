"""Deliveries whose key their vendor has to be asked for, at the door."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from receiver.http import httpx
from receiver.key_provider import KeyProvider
from tests.support import sender
from tests.support.inside import STRIPE, Inside, inside
from tests.support.rows import count
from tests.support.wire import Answer, post, request, wire
from tests.vendors.make.made_up_keys import certificate, pem, rsa_key
from tests.vendors.sources import sent, source_of

KEY = rsa_key("sns")
TOPIC = "arn:aws:sns:us-east-1:123456789012:larkspur-orders"
BODY = (Path(__file__).parents[2] / "fixtures/aws-sns/Notification.json").read_bytes()
CONFIG = f'{STRIPE}\n[sources.topic]\npreset = "aws-sns"\ntopic_arn = "{TOPIC}"\n'
SERVED = httpx.Response(200, content=pem(certificate("sns.amazonaws.com", KEY)).encode())


class Amazon(httpx.AsyncBaseTransport):
    """Answers when it is let."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.asked, self.let = threading.Event(), threading.Event()
        self.times = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.times += 1
        self.asked.set()
        while not self.let.is_set():  # noqa: ASYNC110  it is set in another thread
            await asyncio.sleep(0.001)
        return httpx.Response(self.answer.status_code, content=self.answer.content)


@contextmanager
def receiving(root: Path, amazon: Amazon, patience_s: float = 10.0) -> Iterator[Inside]:
    with inside(root, CONFIG, key_provider=KeyProvider(amazon, patience_s=patience_s)) as receiver:
        yield receiver


def signed(number: int = 0) -> bytes:
    source = source_of("aws-sns", {"topic_arn": TOPIC, "secrets": [f"literal:{pem(KEY)}"]})
    body = BODY.replace(b"22b80b92", b"%08d" % number)
    return sent(source, body, time.time()).body


def send(receiver: Inside, number: int = 0) -> Answer:
    return post(receiver.port, "/webhooks/topic", signed(number))


def send_to_stripe(receiver: Inside) -> Answer:
    body = sender.stripe_event("evt_meanwhile")
    return post(receiver.port, "/webhooks/stripe", body, sender.stripe(body))


def test_those_who_need_a_key_wait_for_it_and_nobody_else_does(tmp_path: Path) -> None:
    amazon = Amazon(SERVED)
    with receiving(tmp_path, amazon) as receiver, ThreadPoolExecutor(5) as threads:
        waiting = [threads.submit(send, receiver, number) for number in range(5)]
        assert amazon.asked.wait(10)
        assert send_to_stripe(receiver).status == 200
        assert not any(one.done() for one in waiting)
        amazon.let.set()
        assert [one.result().status for one in waiting] == [200] * 5
        assert send(receiver, 6).status == 200
        assert amazon.times == 1
        assert count(receiver.file, "event") == 7


def test_a_key_that_cannot_be_had_is_our_trouble(tmp_path: Path) -> None:
    amazon = Amazon(httpx.Response(500))
    amazon.let.set()
    with receiving(tmp_path, amazon) as receiver:
        answer = send(receiver)
        assert (answer.status, answer.json()["code"]) == (503, "keys_unavailable")
        assert "retry-after" in answer.headers
        assert "detail" not in answer.json()
        assert count(receiver.file, "event") == 0


def test_a_vendor_that_does_not_answer_holds_no_delivery_for_long(tmp_path: Path) -> None:
    with receiving(tmp_path, Amazon(SERVED), patience_s=0.05) as receiver:
        assert send(receiver).status == 503


def test_a_key_that_its_vendor_does_not_have_is_the_senders_fault(tmp_path: Path) -> None:
    amazon = Amazon(httpx.Response(404))
    amazon.let.set()
    with receiving(tmp_path, amazon) as receiver:
        assert (send(receiver).status, send(receiver).status, amazon.times) == (401, 401, 1)


def test_an_address_that_is_not_the_vendors_is_not_asked(tmp_path: Path) -> None:
    amazon = Amazon(SERVED)
    with receiving(tmp_path, amazon) as receiver:
        body = signed().replace(b"//sns.us-east-1.amazonaws.com/Simple", b"//evil.example/Simple")
        assert post(receiver.port, "/webhooks/topic", body).status == 401
        assert amazon.times == 0


def test_who_hangs_up_while_the_key_is_asked_for_is_taken_all_the_same(tmp_path: Path) -> None:
    amazon = Amazon(SERVED)
    with receiving(tmp_path, amazon) as receiver:
        with wire(receiver.port) as connection:
            connection.send(request("/webhooks/topic", signed()))
            assert amazon.asked.wait(10)
        amazon.let.set()
        assert send(receiver, 1).status == 200
        assert count(receiver.file, "event") == 2


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order(tmp_path: Path) -> None:
    amazon = Amazon(SERVED)
    body = sender.stripe_event("evt_behind")
    with receiving(tmp_path, amazon) as receiver, wire(receiver.port) as connection:
        connection.send(request("/webhooks/topic", signed()) + request("/webhooks/stripe", body, sender.stripe(body)))
        assert amazon.asked.wait(10)
        amazon.let.set()
        assert [connection.answer().status, connection.answer().status] == [200, 200]
        assert count(receiver.file, "event") == 2
