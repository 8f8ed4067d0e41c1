"""A call, from what the handler wrote to what leaves, and how its failures are told apart. Some with real sockets."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import Sent
from processors.outbound.upstream import Answered, Call, Upstreams, headers_from_bytes, headers_to_bytes, make_call
from receiver.errors import UserError
from receiver.http import httpx
from tests.processors.bench import APIS, Apis, settings_of
from tests.support.upstream import upstream

names = st.text(alphabet="abcXYZ-09", min_size=1, max_size=8)
values = st.text(alphabet=[chr(code) for code in range(33, 127)], max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(["POST", "PUT"]), st.dictionaries(names, values, max_size=3), st.binary(max_size=40))
def test_a_call_survives_being_stored(method: str, headers: dict[str, str], content: bytes) -> None:
    call = make_call("ledger", method, "/entries", params={"a": "b c", "d": "\n"}, headers=headers, content=content)
    assert Call.from_bytes(call.to_bytes()) == call


@pytest.mark.parametrize("path", ["http://evil.test/", "//evil.test/x", "https:/x", "ftp://x", "http:x"])
def test_an_absolute_address_is_refused_because_it_would_be_given_our_credentials(path: str) -> None:
    with pytest.raises(ValueError, match="relative to base_url"):
        make_call("ledger", "POST", path)


@pytest.mark.parametrize("path", ["@evil.test/x", "\\\\evil.test", "/../../x", ".evil.test", ":81/x", "?a=b", ""])
def test_no_path_leads_to_another_host(path: str, tmp_path: Path) -> None:
    apis = Apis([200])
    send(tmp_path, apis, make_call("ledger", "POST", path))
    assert apis.calls[0].url.host == "ledger.test"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-B: 2"),
        ("X-A\nX-B", "1"),
        ("X-A: 1\r\nX-B", "2"),
        ("X-A", "1\n"),
        ("X-A", "\r"),
        ("X A", "1"),
        ("", "1"),
        ("X-A", "\x00"),
        ("X-A", " 1"),
        ("X-A", "é"),
    ],
)
def test_what_cannot_stand_in_a_header_is_refused_before_anything_is_recorded(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a header"):
        make_call("ledger", "POST", "/", headers={name: value})


@given(json_values.filter(lambda value: value is not None))
def test_json_is_the_bytes_that_earlier_versions_recorded(value: Any) -> None:
    assert make_call("ledger", "POST", "/", json_value=value).content == httpx.Request("POST", "/", json=value).read()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": {1, 2}}])
def test_what_is_no_json_is_refused_before_anything_is_recorded(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        make_call("ledger", "POST", "/", json_value=value)


def test_content_goes_before_a_form_and_a_form_before_json() -> None:
    both = make_call("ledger", "POST", "/", json_value={"a": 1}, data={"b": "2"})
    assert (both.content, both.headers) == (b"b=2", (("Content-Type", "application/x-www-form-urlencoded"),))
    assert make_call("ledger", "POST", "/", json_value={"a": 1}, content=b"c").content == b"c"
    assert make_call("ledger", "POST", "/").content == b""


def test_a_body_brings_its_own_content_type_unless_one_is_given() -> None:
    assert make_call("ledger", "POST", "/", json_value={"a": 1}) == Call(
        "ledger", "POST", "/", (("Content-Type", "application/json"),), b'{"a":1}'
    )
    form = make_call("ledger", "POST", "/", data={"a": "b c"})
    assert (form.headers, form.content) == ((("Content-Type", "application/x-www-form-urlencoded"),), b"a=b+c")
    given = make_call("ledger", "POST", "/", json_value=1, headers={"content-type": "application/ld+json"})
    assert given.headers == (("content-type", "application/ld+json"),)


def test_what_leaves_carries_the_base_url_the_key_and_the_correlation_id(tmp_path: Path) -> None:
    apis = Apis([200])
    answered = send(tmp_path, apis, make_call("ledger", "PATCH", "/entries/1?a=b", json_value={}), key="key-1")
    [request] = apis.calls
    assert (request.method, str(request.url)) == ("PATCH", "http://ledger.test/v1/entries/1?a=b")
    assert (request.headers["idempotency-key"], request.headers["x-correlation-id"]) == ("key-1", "ev_1")
    assert request.headers["user-agent"].startswith("postern/")
    assert answered.response is not None


def test_an_upstream_that_takes_no_key_is_sent_none(tmp_path: Path) -> None:
    apis = Apis([200])
    send(tmp_path, apis, make_call("ledger", "POST", "/x"), key="key-1", name="bank")
    assert "idempotency-key" not in apis.calls[0].headers


def test_a_handler_cannot_overwrite_the_key(tmp_path: Path) -> None:
    apis = Apis([200])
    send(tmp_path, apis, make_call("ledger", "POST", "/", headers={"idempotency-key": "mine"}), key="ours")
    assert apis.calls[0].headers.get_list("idempotency-key") == ["ours"]


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    apis = Apis([httpx.Response(307, headers={"location": "http://evil.test/"})])
    answered = send(tmp_path, apis, make_call("ledger", "POST", "/"))
    assert answered.response is not None
    assert (answered.response.status, len(apis.calls)) == (307, 1)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"), httpx.ProxyError("x")]
)
def test_without_a_connection_nothing_was_sent(error: Exception, tmp_path: Path) -> None:
    answered = send(tmp_path, Apis([error]), make_call("ledger", "POST", "/"))
    assert (answered.response, answered.sent, answered.error) == (None, Sent.NO, f"{type(error).__name__}: x")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout(""),
        httpx.WriteTimeout(""),
        httpx.ReadError(""),
        httpx.WriteError(""),
        httpx.RemoteProtocolError(""),
        httpx.DecodingError(""),
    ],
)
def test_on_a_connection_everything_else_may_have_been_sent(error: Exception, tmp_path: Path) -> None:
    assert send(tmp_path, Apis([error]), make_call("ledger", "POST", "/")) == Answered(
        None, Sent.MAYBE, type(error).__name__
    )


def test_a_real_upstream_is_reached(tmp_path: Path) -> None:
    with upstream() as real:
        answered = send(
            tmp_path, None, make_call("ledger", "POST", "/entries", json_value={"a": 1}), key="k", address=real.url
        )
        assert answered.response is not None
        assert (answered.response.status, answered.response.json()) == (201, {"id": "entry_1"})
        [call] = real.calls
    assert (call.method, call.path, call.key, call.body) == ("POST", "/entries", "k", b'{"a":1}')


def test_a_connection_that_its_server_closed_meanwhile_costs_no_call(tmp_path: Path) -> None:
    closed = threading.Semaphore(0)

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        settings = settings_of(tmp_path, f'[apis.ledger]\nbase_url = "http://127.0.0.1:{listener.getsockname()[1]}"')

        async def work() -> list[Sent | None]:
            upstreams = Upstreams(settings)
            sent, call = [], make_call("ledger", "POST", "/")
            for _ in range(2):
                sent.append((await upstreams.get("ledger").send(call, key=None, correlation="")).sent)
                await asyncio.to_thread(closed.acquire)
            await upstreams.aclose()
            return sent

        assert asyncio.run(work()) == [None, None]
        server.join()


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with accepting(lambda connection: asked.append(connection.recv(65536))) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        send(tmp_path, None, make_call("ledger", "POST", "/x"), address="http://ledger.test")
    assert asked[0].startswith(b"POST http://ledger.test/x HTTP/1.1\r\n")


def test_a_closed_port_was_sent_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answered = send(tmp_path, None, make_call("ledger", "POST", "/"), address=f"http://127.0.0.1:{port}")
    assert answered.sent is Sent.NO


def test_a_connection_that_closes_without_an_answer_may_have_been_sent(tmp_path: Path) -> None:
    with accepting(lambda connection: connection.recv(65536)) as port:
        answered = send(tmp_path, None, make_call("ledger", "POST", "/"), address=f"http://127.0.0.1:{port}")
    assert answered.sent is Sent.MAYBE


def test_an_upstream_that_never_answers_is_given_up_at_its_timeout(tmp_path: Path) -> None:
    over = threading.Event()
    with accepting(lambda _: over.wait(10)) as port:
        answered = send(
            tmp_path,
            None,
            make_call("ledger", "POST", "/"),
            address=f"http://127.0.0.1:{port}",
            more="timeout_s = 0.05",
        )
        over.set()
    assert (answered.sent, answered.error) == (Sent.MAYBE, "ReadTimeout")


@pytest.mark.parametrize("headers", [{}, {"a": "1", "b": 'é, "x"'}])
def test_headers_survive_being_stored(headers: dict[str, str]) -> None:
    assert headers_from_bytes(headers_to_bytes(headers)) == headers
    assert headers_from_bytes(None) == {}


def test_an_unknown_name_says_which_are_known(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, APIS)
    with pytest.raises(LookupError) as caught:
        Upstreams(settings).get("legder")
    assert caught.value.args == ("there is no [apis.legder] in the configuration (known: bank, ledger)",)


def test_a_missing_secret_names_its_variable(tmp_path: Path) -> None:
    text = '[apis.ledger]\nbase_url = "http://x.test"\nauth = {type = "bearer", token = "env:LEDGER_TOKEN"}'
    with pytest.raises(UserError, match="LEDGER_TOKEN") as caught:
        Upstreams(settings_of(tmp_path, text)).get("ledger")
    assert caught.value.where == "[apis.ledger] auth.token"


def send(
    root: Path, apis: Apis | None, call: Call, *, key: str | None = None, name: str = "ledger", address: str = "",
    more: str = "",
) -> Answered:  # fmt: skip
    text = f'[apis.ledger]\nbase_url = "{address}"\n{more}' if address else APIS

    async def work() -> Answered:
        upstreams = Upstreams(settings_of(root, text), apis.transports if apis else None)
        try:
            return await upstreams.get(name).send(call, key=key, correlation="ev_1")
        finally:
            await upstreams.aclose()

    return asyncio.run(work())


@contextmanager
def accepting(serve: Callable[[socket.socket], Any]) -> Iterator[int]:
    """A listener that takes one connection, does `serve` with it, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
