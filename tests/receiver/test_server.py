"""The HTTP below the endpoints: what is malformed, slow or too much, and what a connection is good for afterwards."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from receiver.errors import UserError
from receiver.server import bind
from receiver.wellformed import Limits
from tests.support import sender
from tests.support.inside import PATH, STRIPE, Inside, inside
from tests.support.postern import Postern, serving, write_project
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.wire import Wire, ask, get, post, request, wire

START = b"POST /webhooks/stripe HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("server")) as it:
        yield it


BODY = sender.stripe_event("evt_wire")
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def signed(body: bytes = BODY) -> bytes:
    """The header lines of a signature that is valid now."""
    return "".join(f"{name}: {value}\r\n" for name, value in sender.stripe(body)).encode()


def whole() -> bytes:
    """A delivery that is accepted."""
    return START + HOST + signed() + LENGTH + b"\r\n" + BODY


def expecting() -> tuple[bytes, bytes]:
    """The same in two parts, of which the second waits for `100 Continue`."""
    head, _, body = whole().replace(HOST, HOST + b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


# ── malformed ──

SIGNED = signed()
WHOLE = whole()
MALFORMED = {
    "bare line feeds": WHOLE.replace(b"\r\n", b"\n"),
    "one bare line feed": START.replace(b"\r\n", b"\n") + HOST + SIGNED + LENGTH + b"\r\n" + BODY,
    "a folded header": START + HOST + b"X-A: 1\r\n 2\r\n" + SIGNED + LENGTH + b"\r\n" + BODY,
    "length and chunks": START + HOST + SIGNED + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and length": START + HOST + SIGNED + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "two lengths": START + HOST + SIGNED + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": WHOLE.replace(b"Length: ", b"Length: 5, "),
    "a signed length": WHOLE.replace(b"Length: ", b"Length: +"),
    "a negative length": WHOLE.replace(b"Length: ", b"Length: -"),
    "a length without end": WHOLE.replace(b"Length: ", b"Length: 9999999999999999999"),
    "an empty host": WHOLE.replace(HOST, b"Host: \r\n"),
    "a list of hosts": WHOLE.replace(HOST, b"Host: a, b\r\n"),
    "a host that is none": WHOLE.replace(HOST, b"Host: user@a/b\r\n"),
    "half a bracket": WHOLE.replace(HOST, b"Host: [\r\n"),
    "a bracket behind a host": WHOLE.replace(HOST, b"Host: localhost]\r\n"),
    "a bracket before a host": WHOLE.replace(HOST, b"Host: localhost[::1]\r\n"),
    "a name in brackets": WHOLE.replace(HOST, b"Host: [localhost]\r\n"),
    "IPv4 in brackets": WHOLE.replace(HOST, b"Host: [127.0.0.1]\r\n"),
    "IPv6 that is none": WHOLE.replace(HOST, b"Host: [:::]\r\n"),
    "more behind IPv6": WHOLE.replace(HOST, b"Host: [::1]x\r\n"),
    "no host": START + SIGNED + LENGTH + b"\r\n" + BODY,
    "two hosts": START + HOST + HOST + SIGNED + LENGTH + b"\r\n" + BODY,
    "gzip, chunked": START + HOST + SIGNED + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "chunked, gzip": START + HOST + SIGNED + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "chunked twice": START + HOST + SIGNED + CHUNKED + CHUNKED + b"\r\n" + CHUNKS,
    "xchunked": START + HOST + SIGNED + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "identity": START + HOST + SIGNED + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    "an upgrade to h2c": WHOLE.replace(HOST, HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),
    "an upgrade elsewhere": WHOLE.replace(b"stripe H", b"nope H").replace(HOST, HOST + b"Upgrade: h2c\r\n"),
    "an upgrade of a page": WHOLE.replace(b"/webhooks/stripe", b"/nope").replace(
        HOST, HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    ),
    "CONNECT": b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT to a path": WHOLE.replace(b"POST", b"CONNECT"),
    "a target with a host": WHOLE.replace(b"/webhooks", b"http://localhost/webhooks"),
    "a target with another host": WHOLE.replace(b"/webhooks", b"https://example.com/webhooks"),
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": WHOLE.replace(b"stripe HTTP", b"stripe#x HTTP"),
    "a websocket": WHOLE.replace(HOST, HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "HTTP/0.9": b"POST /webhooks/stripe\r\n\r\n",
    "HTTP/0.9 with a name": WHOLE.replace(b"HTTP/1.1", b"HTTP/0.9"),
    "HTTP/2 in lines": WHOLE.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "another version": WHOLE.replace(b"HTTP/1.1", b"HTTP/1.2"),
    "a proxy's first line": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + WHOLE,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a path that is not ASCII": WHOLE.replace(b"stripe HTTP", b"str\xc3\xafpe HTTP"),
    "a path in Latin-1": WHOLE.replace(b"stripe HTTP", b"str\xefpe HTTP"),
    "a broken percent code": WHOLE.replace(b"stripe HTTP", b"stripe%zz HTTP"),
    "half a percent code": WHOLE.replace(b"stripe HTTP", b"stripe% HTTP"),
    "control characters in the query": WHOLE.replace(b"stripe HTTP", b"stripe?a=\x01 HTTP"),
    "a query in Latin-1": WHOLE.replace(b"stripe HTTP", b"stripe?a=\xef HTTP"),
    "a NUL in the path": WHOLE.replace(b"stripe HTTP", b"str\0ipe HTTP"),
    "a space in the path": WHOLE.replace(b"stripe HTTP", b"stripe x HTTP"),
    "a space before the colon": WHOLE.replace(b"Host:", b"Host :"),
    "a header without a name": WHOLE.replace(HOST, HOST + b": x\r\n"),
    "a NUL in a header": WHOLE.replace(HOST, HOST + b"X-A: a\0b\r\n"),
    "a control character in a header": WHOLE.replace(HOST, HOST + b"X-A: a\x01b\r\n"),
    "a carriage return in a header": WHOLE.replace(HOST, HOST + b"X-A: a\rb\r\n"),
    "no chunk size": START + HOST + SIGNED + CHUNKED + b"\r\nzz\r\n" + BODY,
    "a chunk of more than there is": START + HOST + SIGNED + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n" + BODY,
    "a chunk in bare lines": START + HOST + SIGNED + CHUNKED + b"\r\n" + CHUNKS.replace(b"\r\n", b"\n"),
    "a control character in an extension": START + HOST + SIGNED + CHUNKED + b"\r\n5;a\x01\r\n" + BODY,
    "a length in the trailers": START + HOST + SIGNED + CHUNKED + b"\r\n" + CHUNKS[:-2] + LENGTH + b"\r\n",
    "a negative chunk": START + HOST + SIGNED + CHUNKED + b"\r\n-1\r\n" + BODY,
    "a chunk without its end": START + HOST + SIGNED + CHUNKED + b"\r\n%x\r\n%sXX0\r\n\r\n" % (len(BODY), BODY),
    "a method in lower case": WHOLE.replace(b"POST", b"post"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_http_is_refused_and_its_connection_closed(receiver: Inside, what: str) -> None:
    events = count(receiver.file, "event")
    with wire(receiver.port) as connection:
        connection.send(MALFORMED[what])
        answer = connection.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert re.fullmatch("[a-z_]+", answer.code)
        assert connection.ended()
    assert count(receiver.file, "event") == events


def test_trailers_are_no_headers(receiver: Inside) -> None:
    chunks = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, signed())
    answer = ask(receiver.port, START + HOST + CHUNKED + b"\r\n" + chunks)
    assert (answer.status, answer.code) == (401, "signature_missing")


def test_what_came_before_a_malformed_request_still_gets_its_own_answer(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(whole() + whole() + b"BAD\r\n\r\n")
        assert [connection.answer().status for _ in range(3)] == [200, 200, 400]
        assert connection.ended()


def test_what_is_malformed_in_a_body_is_refused_after_those_before_it_were_answered(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(whole() + START + HOST + signed() + CHUNKED + b"\r\n5;\xdf\r\n")
        assert [connection.answer().status for _ in range(2)] == [200, 400]
        assert connection.ended()


@pytest.mark.parametrize(
    ("host", "status"), [(b"[::1]", 200), (b"[2001:db8::7]:8000", 200), (b"[::ffff:192.0.2.1]", 200), (b"[", 400)]
)
def test_brackets_in_a_host_hold_an_ipv6_address(receiver: Inside, host: bytes, status: int) -> None:
    answer = ask(receiver.port, whole().replace(HOST, b"Host: %b\r\n" % host))
    assert (answer.status, answer.json().get("code")) == (status, None if status == 200 else "bad_host")


def test_what_follows_an_answer_that_closes_is_not_looked_at(receiver: Inside) -> None:
    following = sender.stripe_event("evt_following")
    with wire(receiver.port) as connection:
        connection.send(whole().replace(HOST, b"") + request(PATH, following, sender.stripe(following)))
        assert (connection.answer().status, connection.ended()) == (400, True)
    assert ask(receiver.port, whole()).status == 200  # the store writes in the order in which it was given
    assert rows(receiver.file, "SELECT id FROM event WHERE external_id = 'evt_following'") == []


def test_what_is_malformed_before_it_is_a_request_is_counted(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path) as postern:
        for _ in range(3):
            assert ask(postern.port, b"BAD\r\n\r\n").status == 400
        metrics = get(postern.port, "/metrics").body.decode()
        assert 'postern_refused_total{code="malformed_http",source=""} 3.0' in metrics
        assert [line for line in postern.lines() if line["level"] != "info"] == []


# ── slow, and too much ──


@pytest.mark.parametrize("part", [b"", b"POST /webhooks/stripe HT", START + HOST + b"X-A: 1\r\n", b"\r\n"])
def test_slow_headers_are_given_up(tmp_path: Path, part: bytes) -> None:
    with inside(tmp_path, limits=Limits(headers_s=0.2)) as receiver, wire(receiver.port) as connection:
        connection.send(part)
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (408, "too_slow", True)
        assert connection.ended()


def test_headers_that_trickle_in_do_not_buy_more_time(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(headers_s=0.3)) as receiver, wire(receiver.port, 5) as connection:
        assert trickle(connection, START + HOST + b"X-A: " + b"a" * 10_000) == 408


@pytest.mark.parametrize("path", [b"/healthz", b"/nope", PATH.encode(), b"/webhooks/nope"])
def test_a_slow_body_is_given_up_whoever_would_not_have_read_it(tmp_path: Path, path: bytes) -> None:
    start = START.replace(b"/webhooks/stripe", path) + HOST + b"Content-Length: 100000\r\n\r\n"
    with inside(tmp_path, limits=Limits(body_s=0.3, idle_s=0.2)) as receiver, wire(receiver.port) as connection:
        connection.send(start)
        until(lambda: hung_up(connection, b"x"), what="the end of the connection")


def hung_up(connection: Wire, data: bytes) -> bool:
    """Whether the other side takes no more."""
    try:
        connection.send(data)
    except ConnectionError:
        return True
    return False


def test_who_never_reads_answers_is_cut_off(tmp_path: Path) -> None:
    asked = request("/nope?" + "x" * 1000) + request("/webhooks/nope?" + "x" * 1000)
    with inside(tmp_path, limits=Limits(unread_s=0.3)) as receiver, wire(receiver.port) as connection:
        until(lambda: hung_up(connection, asked * 100), what="the end of the connection")


def test_connections_are_bounded_and_there_is_room_again_when_some_have_gone(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(connections=5)) as receiver:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(wire(receiver.port)).send(START)
            answer = ask(receiver.port, whole())
            assert (answer.status, answer.code, answer.closes) == (503, "overloaded", True)
            assert int(answer.headers["retry-after"]) > 0
        until(lambda: ask(receiver.port, whole()).status == 200, what="room")


def test_a_connection_kept_alive_has_no_more_time_for_its_next_headers(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(headers_s=0.3)) as receiver, wire(receiver.port, 5) as connection:
        connection.send(whole())
        assert connection.answer().status == 200
        assert trickle(connection, b"\r\n" * 10_000) == 408


def trickle(connection: Wire, data: bytes) -> int:
    """Send byte by byte until the server has had enough: the status of its answer."""
    left = iter(data)

    def next_byte() -> bool:
        connection.send(bytes([next(left)]))
        return connection.has_answer()

    until(next_byte, 5, "an answer")
    return connection.answer().status


@pytest.mark.parametrize(
    "data",
    [
        START + HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(100)) + b"Content-Length: 0\r\n\r\n",
        START + HOST + b"X-A: " + b"a" * 65536 + b"\r\n\r\n",
        START + HOST + b"X-A: " + b"a" * 1_000_000,
        START + HOST + b"X-A: 1\r\n" * 200_000,
        START + HOST + b"X-A: 1\r\n" * 101,
        START.replace(b"/webhooks/stripe", b"/healthz") + HOST + b"X-A: 1\r\n" * 100 + b"\r\n",
        START.replace(b"stripe", b"stripe?" + b"a" * 65536) + HOST + b"\r\n",
        b"POST /" + b"a" * 1_000_000,
        b"\r\n" * 500_000,
        START + HOST + CHUNKED + b"\r\n0\r\nX-A: " + b"a" * 1_000_000,
        START + HOST + CHUNKED + b"\r\n0\r\n" + b"X-A: 1\r\n" * 200_000,
        START + HOST + CHUNKED + b"\r\n5;" + b"a" * 1_000_000,
    ],
    ids=[
        "101",
        "64 KiB",
        "endless",
        "many",
        "101 unfinished",
        "101 for a page",
        "query",
        "path",
        "empty lines",
        "trailer",
        "trailers",
        "chunk extension",
    ],
)
def test_too_many_headers_are_refused_also_before_they_end(receiver: Inside, data: bytes) -> None:
    with wire(receiver.port) as connection:
        connection.send(data)
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (431, "headers_too_large", True)
        assert connection.ended()


def test_a_credential_counts_with_its_whole_length(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nAuthorization: " + b"x" * 70_000 + b"\r\n\r\n")
        assert connection.answer().status == 431


def test_a_hundred_headers_are_fine(receiver: Inside) -> None:
    more = b"".join(b"X-%d: 1\r\n" % number for number in range(96))
    assert ask(receiver.port, whole().replace(HOST, HOST + more)).status == 200


def test_large_bodies_before_an_unfinished_header_do_not_count_as_headers(receiver: Inside) -> None:
    body = b"x" * 200_000
    with wire(receiver.port) as connection:
        first = START + HOST + signed(body) + b"Content-Length: %d\r\n\r\n" % len(body) + body
        second = whole()
        connection.send(first + second[:200])
        assert connection.answer().status == 200
        connection.send(second[200:])
        assert connection.answer().status == 200


@pytest.mark.parametrize("head", [b"Content-Length: 300000000\r\n\r\n", CHUNKED + b"\r\n11e1a300\r\n"])
def test_three_hundred_megabytes_are_refused_early_and_cost_next_to_nothing(tmp_path: Path, head: bytes) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path) as postern, wire(postern.port) as connection:
        assert post(postern.port, PATH, BODY, sender.stripe(BODY)).status == 200
        before = peak_bytes(postern.pid)
        connection.send(START + HOST + signed() + head)
        sent = 0
        block = b"x" * 65536
        while sent < 300_000_000 and not connection.has_answer():
            connection.send(block)
            sent += len(block)
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (413, "too_large", True)
        assert sent < 20_000_000
        assert peak_bytes(postern.pid) - before < 8 << 20


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_white_space_around_a_value_is_none_of_it(receiver: Inside) -> None:
    spaced = (
        whole().replace(b"localhost\r\n", b"\t localhost \t\r\n").replace(b"\r\nContent-Length", b" \r\nContent-Length")
    )
    assert ask(receiver.port, spaced).status == 200


def test_a_sender_that_reads_only_after_it_sent_all_still_sees_the_refusal(receiver: Inside) -> None:
    body = b"x" * 8_000_000
    with wire(receiver.port) as connection:
        connection.send(START + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.answer().status == 413
        assert connection.ended()


# ── connections ──


def test_a_connection_serves_many_requests_also_after_refusals(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        for data, status in ((whole(), 200), (whole().replace(b"v1=", b"v1=0"), 401), (whole(), 200)):
            connection.send(data)
            answer = connection.answer()
            assert (answer.status, answer.closes) == (status, False)
        connection.send(request("/nope", method="GET") + whole())
        assert [connection.answer().status, connection.answer().status] == [404, 200]


def test_pipelined_requests_are_answered_in_order(receiver: Inside) -> None:
    bodies = [sender.stripe_event(f"evt_pipe_{number}") for number in range(20)]
    with wire(receiver.port) as connection:
        connection.send(b"".join(request(PATH, body, sender.stripe(body)) for body in bodies))
        ids = [connection.answer().json()["id"] for _ in bodies]
    stored = rows(receiver.file, "SELECT external_id FROM event WHERE external_id LIKE 'evt_pipe_%' ORDER BY id")
    assert stored == [(f"evt_pipe_{number}",) for number in range(20)]
    assert ids == sorted(set(ids))


def test_a_pipelined_delivery_whose_body_comes_later_is_read_on(receiver: Inside) -> None:
    head, _, body = whole().partition(b"\r\n\r\n")
    for first_part in (b"", body[:10]):
        with wire(receiver.port) as connection:
            connection.send(whole() + head + b"\r\n\r\n" + first_part)
            assert connection.answer().status == 200
            connection.send(body[len(first_part) :])
            assert connection.answer().status == 200


def test_a_pipelined_delivery_that_expects_100_continue_is_read_on(receiver: Inside) -> None:
    head, body = expecting()
    with wire(receiver.port) as connection:
        connection.send(whole() + head)
        assert connection.answer().status == 200
        assert connection.answer(head=True).status == 100
        connection.send(body)
        assert connection.answer().status == 200


def test_thousands_of_pipelined_refusals_are_answered_one_by_one(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(whole() + request("/webhooks/nope", b"{}") * 2000 + whole())
        assert connection.answer().status == 200
        assert {connection.answer().status for _ in range(2000)} == {404}
        assert connection.answer().status == 200


def test_who_does_not_read_its_answers_is_read_no_further(receiver: Inside) -> None:
    asked = request("/webhooks/nope?" + "x" * 2000) * 100
    with wire(receiver.port) as connection:
        taken = 0
        while taken < 500 and connection.may_send():
            connection.send(asked)
            taken += 1
        assert taken < 500
        assert {connection.answer().status for _ in range(100 * taken)} == {404}
        connection.send(whole())
        assert connection.answer().status == 200


def test_a_refusal_of_a_whole_request_keeps_its_connection(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(whole().replace(b"/stripe", b"/nope"))
        answer = connection.answer()
        assert (answer.status, answer.closes) == (404, False)
        connection.send(whole())
        assert connection.answer().status == 200


def test_a_connection_is_closed_when_it_was_idle_for_long_and_not_before(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(idle_s=0.3)) as receiver, wire(receiver.port) as connection:
        started = time.monotonic()
        while time.monotonic() < started + 0.6:
            connection.send(whole())
            assert connection.answer().status == 200
        assert connection.ended()
        assert time.monotonic() > started + 0.9


def test_a_connection_is_closed_when_it_is_idle_after_a_body_that_came_later_than_the_answer(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(idle_s=0.2)) as receiver, wire(receiver.port) as connection:
        connection.send(START.replace(b"/webhooks/stripe", b"/nope") + HOST + b"Content-Length: 2\r\n\r\na")
        assert connection.answer().status == 404
        connection.send(b"b")
        assert connection.ended()


def test_http_1_0_is_served_and_its_connection_closed(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(whole().replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = connection.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert connection.ended()


def test_who_expects_100_continue_gets_it_once_its_headers_are_fine(receiver: Inside) -> None:
    head, body = expecting()
    with wire(receiver.port) as connection:
        connection.send(head)
        assert connection.answer(head=True).status == 100
        connection.send(body)
        assert connection.answer().status == 200


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (LENGTH, b"Content-Length: 300000000\r\n", 413),
        (b"/stripe", b"/nope", 404),
        (HOST, HOST + b"Content-Encoding: gzip\r\n", 415),
        (HOST, b"", 400),
    ],
)
def test_who_expects_100_continue_and_is_refused_gets_the_refusal_alone(
    receiver: Inside, old: bytes, new: bytes, status: int
) -> None:
    with wire(receiver.port) as connection:
        connection.send(expecting()[0].replace(old, new))
        answer = connection.answer()
        assert (answer.status, answer.closes) == (status, True)
        assert connection.ended()


def test_a_byte_at_a_time_is_a_request_too(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        for byte in whole():
            connection.send(bytes([byte]))
        assert connection.answer().status == 200


def test_one_byte_chunks_are_a_body_too(receiver: Inside) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    assert ask(receiver.port, START + HOST + signed() + CHUNKED + b"\r\n" + chunks).status == 200


# ── start and stop ──


def test_a_port_in_use_is_named(receiver: Inside) -> None:
    with pytest.raises(UserError) as caught:
        bind("127.0.0.1", receiver.port)
    assert str(receiver.port) in caught.value.what
    assert "--port" in caught.value.fix


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)


def test_ipv6_is_an_address() -> None:
    with closing(bind("::1", 0)) as listener:
        assert listener.family == socket.AF_INET6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_what_is_in_flight_is_answered(tmp_path: Path, number: int) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path) as postern, wire(postern.port) as idle, wire(postern.port) as busy:
        idle.send(whole())
        assert idle.answer().status == 200
        head, body = expecting()
        busy.send(head)
        assert busy.answer(head=True).status == 100
        os.kill(postern.pid, number)
        assert idle.ended()
        busy.send(body)
        answer = busy.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert postern.wait() == 0


def test_a_request_that_does_not_end_within_the_grace_gets_a_503(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path) as postern, wire(postern.port) as connection:
        connection.send(expecting()[0])
        assert connection.answer(head=True).status == 100
        os.kill(postern.pid, signal.SIGTERM)
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (503, "stopping", True)
        assert postern.wait() == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE)
    postern = Postern(tmp_path, {})
    try:
        with wire(postern.ready().port) as connection:
            connection.send(expecting()[0])
            assert connection.answer(head=True).status == 100
            os.kill(postern.pid, signal.SIGTERM)
            until(lambda: refuses_connections(postern.port), what="the listener's end")
            os.kill(postern.pid, signal.SIGTERM)
            assert postern.wait(2) == 128 + signal.SIGTERM
    finally:
        postern.kill()


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False
