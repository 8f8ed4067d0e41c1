"""The language in which handshakes are written. What vendors' are is tests/vendors/test_handshakes.py's."""

import hashlib
import hmac
from base64 import b64encode
from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes import Headers, Key, Refused, Reply, Request
from receiver.schemes.handshake import Handshakes, compile_handshakes
from receiver.schemes.token import Token

NEW, OLD = Key("env:NEW", b"new"), Key("env:OLD", b"old")
JSON = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


def handshakes(*written: dict[str, Any], **keys: Any) -> Handshakes:
    return compile_handshakes({"handshakes": written, **keys}, "[sources.acme]")


def request(
    method: str = "POST", query: bytes = b"", headers: dict[str, str] | None = None, body: bytes = b""
) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return Request(method, "", Headers(raw), body, query)


def greet(written: dict[str, Any], asked: Request, *, verified: bool = False, **keys: Any) -> Reply | None:
    return handshakes(written, **keys).greet(asked, [NEW, OLD], verified=verified)


def refused(written: dict[str, Any], asked: Request, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        greet(written, asked, **more)
    return caught.value.code


def test_a_source_without_handshakes_answers_nothing_and_says_so() -> None:
    none = compile_handshakes({}, "[sources.acme]")
    assert none.methods == frozenset()
    assert none.greet(request(), [NEW], verified=False) is None
    none.refuse_given_away(b"anything")


def test_it_says_for_which_methods_there_are_handshakes() -> None:
    both = handshakes({"method": "HEAD"}, {"method": "GET", "token": "query:a"})
    assert both.methods == {"GET", "HEAD"}


def test_where_a_secret_is_compared_nothing_of_it_is_to_be_kept() -> None:
    words = handshakes(
        {"method": "GET", "require": {"query:mode": "subscribe", "query:word": "{verify_token}"}},
        {"method": "GET", "require": {"{query:a}.{query:b}": "x.{verify_token}", "header:X-Word": "{verify_token}"}},
        {"method": "GET", "token": "query:challenge", "answer": "{token}{verify_token}"},
    )
    assert words.query_credentials == {"word", "a", "b"}
    assert words.credentials == {b"x-word"}


def test_a_token_and_the_word_of_a_handshake_are_not_kept_either() -> None:
    greeting = {"method": "GET", "require": {"query:word": "{verify_token}", "header:X-Word": "{verify_token}"}}
    scheme = Token({"signature": ["header:X-Token", "query:code"], "handshakes": [greeting]}, "[sources.acme]")
    assert scheme.query_credentials == {"code", "word"}
    assert scheme.credentials == {b"x-token", b"x-word"}


# ── which request is one ──


def test_a_token_that_is_there_makes_a_handshake() -> None:
    written = {"method": "GET", "token": "query:challenge", "answer": "{token}"}
    reply = greet(written, request("GET", b"challenge=a%20b"))
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"a b")
    assert greet(written, request("GET", b"other=a")) is None
    assert greet(written, request("OPTIONS", b"challenge=a")) is None


@pytest.mark.parametrize(
    ("wanted", "body", "fits"),
    [
        ("ping", b'{"type": "ping"}', True),
        ("ping", b'{"type": "pong"}', False),
        ("ping", b"{}", False),
        ("ping", b"not json", False),
        (1, b'{"type": 1}', True),
        (1, b'{"type": true}', False),
        (1, b'{"type": 1.0}', False),
        (1, b'{"type": "1"}', False),
        ("2", b'{"type": 2}', True),
    ],
)
def test_a_value_that_is_so_makes_a_handshake(wanted: str | int, body: bytes, fits: bool) -> None:
    reply = greet({"when": {"body:type": wanted}}, request(body=body), verified=True)
    assert (reply is not None) is fits


def test_each_of_several_values_has_to_be_so() -> None:
    written = {"when": {"body:a": "1", "header:X-B": "2"}}
    assert greet(written, request(body=b'{"a": "1"}', headers={"X-B": "2"}), verified=True)
    assert greet(written, request(body=b'{"a": "1"}', headers={"X-B": "3"}), verified=True) is None


def test_what_may_not_be_there_makes_it_none() -> None:
    written = {"when": {"body:type": 1}, "unless": "body:event"}
    assert greet(written, request(body=b'{"type": 1}'), verified=True)
    assert greet(written, request(body=b'{"type": 1, "event": {}}'), verified=True) is None


def test_a_post_is_signed_unless_it_says_otherwise() -> None:
    asked = request(body=b'{"type": "ping"}')
    signed, unsigned = {"when": {"body:type": "ping"}}, {"when": {"body:type": "ping"}, "signed": False}
    assert [greet(signed, asked, verified=verified) is not None for verified in (False, True)] == [False, True]
    assert [greet(unsigned, asked, verified=verified) is not None for verified in (False, True)] == [True, False]


def test_the_first_that_fits_answers() -> None:
    two = handshakes({"when": {"body:a": 1}, "answer": "first"}, {"when": {"body:b": 1}, "answer": "second"})
    for body, text in ((b'{"a": 1, "b": 1}', b"first"), (b'{"b": 1}', b"second")):
        reply = two.greet(request(body=body), [NEW], verified=True)
        assert reply is not None
        assert reply.body == text


# ── what it is answered with ──


def test_a_table_becomes_json_with_the_words_in_its_texts_filled_in() -> None:
    answer = {"said": "<{token}>", "deep": {"again": "{token}{token}"}, "type": 1, "ok": True}
    reply = greet({"token": "body:t", "answer": answer}, request(body=b'{"t": "a\\"{mac}"}'), verified=True)
    body = b'{"said":"<a\\"{mac}>","deep":{"again":"a\\"{mac}a\\"{mac}"},"type":1,"ok":true}'
    assert reply == Reply(200, body, JSON)


def test_an_answer_without_a_body_has_no_media_type() -> None:
    assert greet({"method": "HEAD", "status": 204}, request("HEAD")) == Reply(204, b"", ())


def test_headers_are_filled_in_and_other_places_may_be_named() -> None:
    written = {"method": "OPTIONS", "token": "header:X-Origin", "headers": {"X-Yes": "{token}/{header:X-Rate}"}}
    reply = greet(written, request("OPTIONS", headers={"X-Origin": "a", "X-Rate": "7"}))
    assert reply is not None
    assert reply.headers == ((b"x-yes", b"a/7"),)
    assert refused(written, request("OPTIONS", headers={"X-Origin": "a"})) == "handshake_malformed"
    assert refused(written, request("OPTIONS", headers={"X-Origin": "a", "X-Rate": "\xe9"})) == "handshake_malformed"


@pytest.mark.parametrize(
    ("keys", "own", "expected"),
    [
        ({}, {}, hmac.digest(b"new", b"abc", "sha256").hex()),
        ({"encoding": "base64"}, {}, b64encode(hmac.digest(b"new", b"abc", "sha256")).decode()),
        ({"hash": "sha512"}, {}, hmac.digest(b"new", b"abc", "sha512").hex()),
        ({"hash": "sha512"}, {"hash": "sha1"}, hmac.new(b"new", b"abc", hashlib.sha1).hexdigest()),
    ],
)
def test_the_hmac_of_a_token_is_made_as_the_source_signs_with_the_newest_secret(
    keys: dict[str, str], own: dict[str, str], expected: str
) -> None:
    written = {"token": "body:t", "answer": "v={mac}", **own}
    reply = greet(written, request(body=b'{"t": "abc"}'), verified=True, **keys)
    assert reply is not None
    assert reply.body == f"v={expected}".encode()


def test_without_a_secret_there_is_no_hmac() -> None:
    with pytest.raises(Refused, match="no secret"):
        handshakes({"token": "body:t", "answer": "{mac}"}).greet(request(body=b'{"t": "a"}'), [], verified=True)


def test_a_secret_that_is_offered_is_told() -> None:
    reply = greet({"token": "body:t", "offers_secret": True}, request(body=b'{"t": "a"}'), verified=True)
    assert reply is not None
    assert reply.offers_secret


# ── what is required ──


WORD = {"method": "GET", "token": "query:c", "require": {"query:w": "{verify_token}"}, "answer": "{token}"}


def test_a_word_has_to_be_the_configured_one() -> None:
    assert greet(WORD, request("GET", b"c=1&w=secret"), verify_token=b"secret")
    for query in (b"c=1&w=other", b"c=1", b"c=1&w="):
        assert refused(WORD, request("GET", query), verify_token=b"secret") == "handshake_refused"


def test_a_word_that_is_not_configured_or_was_not_looked_up_is_never_right() -> None:
    assert refused(WORD, request("GET", b"c=1&w=")) == "handshake_refused"
    assert refused(WORD, request("GET", b"c=1&w=env:WORD"), verify_token="env:WORD") == "handshake_refused"
    assert handshakes(WORD).used == {"verify_token"}


# ── what strangers can get ──


@pytest.mark.parametrize("token", ["", "a\nb", "a\x00", "a\x7f", "\xe9", "x" * 2049])
def test_a_token_is_printable_ascii_of_limited_length(token: str) -> None:
    written = {"when": {"header:X-Kind": "hello"}, "token": "header:X-Token", "answer": "{token}", "signed": False}
    asked = request(headers={"X-Kind": "hello", "X-Token": token})
    assert refused(written, asked) == "handshake_malformed"


def test_a_form_that_a_user_writes_lets_no_line_break_through() -> None:
    written = {"method": "GET", "token": "query:a", "form": "(?s).*", "headers": {"X-A": "{token}"}}
    assert refused(written, request("GET", b"a=b%0d%0aX-C:d")) == "handshake_malformed"


def test_an_unsigned_long_body_is_not_looked_into() -> None:
    written = {"signed": False, "token": "body:t"}
    assert greet(written, request(body=b'{"t": "a"}'))
    assert greet(written, request(body=b'{"t": "a", "b": "%b"}' % (b"x" * 4096))) is None


ORACLE = {"method": "GET", "token": "query:t", "form": "[a-z]{1,9}", "answer": "{mac}"}


def test_what_strangers_can_have_signed_is_no_signed_delivery() -> None:
    given = handshakes(ORACLE)
    with pytest.raises(Refused) as caught:
        given.refuse_given_away(b"abc")
    assert caught.value.code == "signature_mismatch"
    for content in (b"{}", b"", b"abc\n", b"abcabcabca", b"\xe9"):
        given.refuse_given_away(content)
    handshakes({"token": "body:t", "form": "[a-z]+", "answer": "{mac}"}).refuse_given_away(b"abc")  # it is signed


# ── mistakes of whoever writes one ──


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"methods": "GET"}, "has no 'methods'"),
        ({"method": "PUT"}, "none of GET, HEAD, OPTIONS, POST"),
        ({"method": "GET", "signed": True}, "a GET is not signed"),
        ({"signed": False}, "any delivery would be this one"),
        ({"signed": "no"}, "'no' is not what signed can be"),
        ({"token": "query:a", "answer": "{tokn}"}, "there is no word {tokn}"),
        ({"when": {"body:a": 1}, "answer": "{token}"}, "where its token is"),
        ({"method": "GET", "token": "query:a", "answer": "{mac}"}, "say which form"),
        ({"method": "GET", "token": "query:a", "headers": {"X-A": "{mac}"}}, "say which form"),
        ({"token": "nowhere"}, "names no place"),
        ({"token": "query:a", "form": "["}, "no regular expression"),
        ({"token": "query:a", "status": 302}, "302 does not agree"),
        ({"token": "query:a", "status": 204, "answer": "a"}, "204 has no body"),
        ({"token": "query:a", "hash": "md5"}, "no hash"),
        ({"token": "query:a", "encoding": "rot13"}, "no encoding"),
        ({"token": "query:a", "headers": {"X-A": "a\r\nX-B: c"}}, "printable ASCII"),
        ({"token": "query:a", "headers": {"X-A": 1}}, "hold texts"),
    ],
)
def test_a_mistake_is_told_with_its_place(written: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=r"\[sources.acme\] handshakes\[0\]") as caught:
        handshakes(written)
    assert what in str(caught.value)
