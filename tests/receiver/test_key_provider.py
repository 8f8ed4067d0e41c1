"""Keys that vendors serve, with the vendor at the other end of a transport; at the end, of a real socket.

Which addresses may be asked is for the schemes to say: tests/receiver/schemes/test_served_keys.py.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from receiver.http import httpx
from receiver.key_provider import A_MINUTE, AT_ONCE, MOST_ANSWERS, MOST_BYTES, KeyProvider
from receiver.problems import Problem
from receiver.schemes import AsksVendor, Key, Refused, Wanted
from tests.vendors.make.made_up_keys import certificate, pem, rsa_key
from tests.vendors.sources import source_of

CERTIFICATE = pem(certificate("sns.amazonaws.com", rsa_key("sns"))).encode()
HOST = "https://sns.us-east-1.amazonaws.com"
Respond = Callable[[httpx.Request], httpx.Response]


def wanted(number: int = 0) -> Wanted:
    address = f"{HOST}/SimpleNotificationService-{number}.pem"
    return Wanted(address, address)


def vendor(preset: str = "aws-sns") -> AsksVendor:
    scheme = source_of(preset, {}).scheme
    assert isinstance(scheme, AsksVendor)
    return scheme


class Asked:
    """A provider, its vendor, and a clock that stands until it is moved."""

    def __init__(self, respond: Respond, patience_s: float = 5.0) -> None:
        self.respond = respond
        self.requests: list[httpx.Request] = []
        self.now = 1000.0
        self.provider = KeyProvider(httpx.MockTransport(self._answer), lambda: self.now, patience_s)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.respond(request)

    async def key(self, one: Wanted | None = None, preset: str = "aws-sns") -> Key:
        """As a delivery gets it: taken up again when there is news."""
        news = asyncio.Event()
        while (key := self.provider.get(one or wanted(), vendor(preset), news.set)) is None:
            await news.wait()
            news.clear()
        return key

    async def trouble(self, one: Wanted | None = None) -> Problem:
        with pytest.raises(Problem) as caught:
            await self.key(one)
        assert (caught.value.status, caught.value.code) == (503, "keys_unavailable")
        return caught.value


def served(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=CERTIFICATE)


def down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route, and a secret")


def test_a_key_is_asked_for_once_and_kept_for_an_hour() -> None:
    async def run() -> None:
        asked = Asked(served)
        key = await asked.key()
        asked.now += 3599
        assert await asked.key() == key
        assert len(asked.requests) == 1
        asked.now += 2
        await asked.key()
        assert len(asked.requests) == 2

    asyncio.run(run())


def test_the_key_is_called_as_the_request_names_it_and_shown_with_its_address() -> None:
    key = asyncio.run(Asked(served).key())
    assert key.name == wanted().name
    assert key.shown.startswith(f"{wanted().url} (")


def test_many_who_wait_for_one_key_ask_once() -> None:
    async def run() -> None:
        asked = Asked(served)
        keys = await asyncio.gather(*(asked.key() for _ in range(100)))
        assert len(asked.requests) == 1
        assert len(set(keys)) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("respond", "why"),
    [
        (down, "ConnectError"),
        (lambda request: httpx.Response(500), "it answered 500"),
        (lambda request: httpx.Response(403), "it answered 403"),
        (lambda request: httpx.Response(204), "it answered 204"),
        (lambda request: httpx.Response(302, headers={"location": "http://169.254.169.254/"}), "it answered 302"),
        (lambda request: httpx.Response(200, content=b"<html>"), "what it answered is not a key"),
        (lambda request: httpx.Response(200, content=b"a" * (MOST_BYTES + 1)), f"more than {MOST_BYTES} bytes"),
    ],
    ids=["down", "500", "403", "204", "a redirect", "something else", "too much"],
)
def test_our_trouble_is_a_503_and_the_vendor_is_let_alone_for_a_while(respond: Respond, why: str) -> None:
    async def run() -> None:
        asked = Asked(respond)
        problem = await asked.trouble()
        assert why in problem.note
        assert "secret" not in problem.note
        assert problem.detail == ""
        asked.now += 9
        await asked.trouble()
        assert len(asked.requests) == 1
        asked.now += 2
        asked.respond = served
        await asked.key()

    asyncio.run(run())


def test_a_vendor_that_does_not_answer_is_not_waited_for() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def run() -> None:
        asked = Asked(served)
        asked.provider = KeyProvider(Silent(), patience_s=0.02)
        assert "longer than 0.02 s" in (await asked.trouble()).note

    asyncio.run(run())


def test_a_key_that_was_had_is_used_for_a_day_where_its_vendor_is_down() -> None:
    async def run() -> None:
        asked = Asked(served)
        key = await asked.key()
        asked.respond = down
        asked.now += 3601
        assert await asked.key() == key
        asked.now += 80_000
        assert await asked.key() == key
        asked.now += 3_000
        await asked.trouble()

    asyncio.run(run())


def test_a_key_that_the_vendor_does_not_have_is_the_senders_fault_until_it_has_it() -> None:
    async def run() -> None:
        asked = Asked(lambda request: httpx.Response(404))
        for _ in range(2):
            with pytest.raises(Refused, match="signature_mismatch"):
                await asked.key()
        assert len(asked.requests) == 1
        asked.now += 61
        asked.respond = served
        await asked.key()

    asyncio.run(run())


def test_a_set_of_keys_is_asked_for_once_for_all_of_them() -> None:
    jwk = {"kty": "RSA", "e": "AQAB", "n": "x" * 342 + "w"}
    keys = [{**jwk, "kid": "one"}, {**jwk, "kid": "two"}, {"kty": "EC", "kid": "of another kind"}, "nonsense"]

    async def run() -> None:
        asked = Asked(lambda request: httpx.Response(200, json={"keys": keys}))
        address = "https://www.googleapis.com/oauth2/v3/certs"
        for kid in ("one", "two"):
            assert (await asked.key(Wanted(kid, address), "google-pubsub")).name == kid
        with pytest.raises(Refused):
            await asked.key(Wanted("of another kind", address), "google-pubsub")
        assert len(asked.requests) == 1

    asyncio.run(run())


def test_a_question_with_a_body_is_posted() -> None:
    jwk = {"kty": "EC", "crv": "P-256", "x": "hKpmAvXy3ZLyfgyiTnhBkwvKiqVS_Wo8LmMKAqk2cQE", "y": "unreadable"}

    async def run() -> None:
        asked = Asked(lambda request: httpx.Response(200, json={"key": jwk}))
        question = json.dumps({"key_id": "a"}).encode()
        with pytest.raises(Refused):
            await asked.key(Wanted("a", "https://sandbox.plaid.com/webhook_verification_key/get", question), "plaid")
        assert (asked.requests[0].method, asked.requests[0].content) == ("POST", question)

    asyncio.run(run())


def test_only_https_is_spoken() -> None:
    async def run() -> None:
        asked = Asked(served)
        await asked.trouble(Wanted("a", "http://sns.us-east-1.amazonaws.com/a.pem"))
        assert asked.requests == []

    asyncio.run(run())


def test_few_vendors_are_asked_at_once() -> None:
    async def run() -> None:
        provider = Asked(served).provider
        for number in range(AT_ONCE):
            assert provider.get(wanted(number), vendor(), lambda: None) is None
        with pytest.raises(Problem, match="503"):
            provider.get(wanted(AT_ONCE), vendor(), lambda: None)

    asyncio.run(run())


def test_strangers_make_us_ask_only_so_often() -> None:
    async def run() -> None:
        asked = Asked(lambda request: httpx.Response(404))
        for number in range(A_MINUTE):
            with pytest.raises(Refused):
                await asked.key(wanted(number))
        await asked.trouble(wanted(A_MINUTE))
        asked.now += 61
        with pytest.raises(Refused):
            await asked.key(wanted(A_MINUTE))

    asyncio.run(run())


async def spend(asked: Asked) -> None:
    """All that may be asked of Amazon within a minute, for keys that it does not have."""
    asked.respond = lambda request: httpx.Response(404)
    for number in range(1, A_MINUTE + 1):
        with pytest.raises(Refused):
            await asked.key(wanted(number))


def test_a_key_that_was_had_is_used_for_a_day_where_strangers_ask_too_much() -> None:
    async def run() -> None:
        asked = Asked(served)
        key = await asked.key()
        asked.now += 80_000
        await spend(asked)
        assert await asked.key() == key
        asked.now += 7_000
        await spend(asked)
        await asked.trouble()

    asyncio.run(run())


def test_what_strangers_ask_of_one_vendor_keeps_nobody_from_asking_another() -> None:
    address = "https://api.paypal.com/v1/notifications/certs/CERT-1"

    async def run() -> None:
        asked = Asked(served)
        await spend(asked)
        asked.respond = served
        await asked.trouble()
        assert (await asked.key(Wanted(address, address), "paypal")).name == address
        asked.now += 61
        for number in range(AT_ONCE):
            assert asked.provider.get(wanted(100 + number), vendor(), lambda: None) is None
        await asked.trouble()
        other = f"{address}2"
        assert (await asked.key(Wanted(other, other), "paypal")).name == other
        await asked.key()  # the eight have been answered

    asyncio.run(run())


def test_what_strangers_ask_for_does_not_push_out_what_is_needed() -> None:
    async def run() -> None:
        asked = Asked(served)
        await asked.key()
        asked.respond = lambda request: httpx.Response(404)
        for number in range(1, MOST_ANSWERS + 10):
            asked.now += 2
            with pytest.raises(Refused):
                await asked.key(wanted(number))
        before = len(asked.requests)
        await asked.key()
        assert len(asked.requests) == before

    asyncio.run(run())


# ── over a real socket ──


@contextmanager
def https(folder: Path, answer: bytes) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server for `localhost`; its port, and what trusts it."""
    key = rsa_key("localhost")
    (folder / "both.pem").write_text(pem(certificate("localhost", key)) + pem(key))

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, ssl.create_default_context(cafile=str(folder / "both.pem"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_key_comes_over_tls_and_from_whom_the_address_names(tmp_path: Path) -> None:
    async def run(port: int, trusting: ssl.SSLContext) -> None:
        asked = Asked(served)
        asked.provider = KeyProvider(httpx.AsyncHTTPTransport(verify=trusting))
        address = f"https://localhost:{port}/a.pem"
        assert (await asked.key(Wanted(address, address))).name == address
        asked.provider = KeyProvider(httpx.AsyncHTTPTransport(verify=trusting))
        assert "ConnectError" in (await asked.trouble(Wanted("a", f"https://127.0.0.1:{port}/a.pem"))).note
        asked.provider = KeyProvider()
        assert "ConnectError" in (await asked.trouble(Wanted("a", address))).note

    with https(tmp_path, CERTIFICATE) as (port, trusting):
        asyncio.run(run(port, trusting))
