"""The short form, which shrinks what it finds; the long one is `make fuzz`. And the model, against what is known."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import inputs, vendors
from tests.fuzz.__main__ import KINDS, batches
from tests.fuzz.framing import requests
from tests.fuzz.gate import Gate
from tests.fuzz.judge import read
from tests.fuzz.model import accepted
from tests.fuzz.sockets import converse

SEED = 4


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with Gate() as it:
        yield it


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(random=st.randoms(use_true_random=False))
def test_whatever_arrives_is_answered_as_promised(gate: Gate, random: Random) -> None:
    assert gate.complaints([inputs.make(random)]) == [[]]


def test_many_at_once_are_answered_as_promised(gate: Gate) -> None:
    for batch in batches(SEED, 0, 2000):
        for pieces, found in zip(batch, gate.complaints(batch), strict=True):
            assert found == [], pieces
    assert {200, 400, 401, 404, 405, 415, 431} <= set(gate.statuses)
    assert gate.statuses[200] > 200  # what is only ever refused proves nothing


def test_each_vendor_s_own_requests_get_their_verdict_whatever_comes_between_them() -> None:
    honest = vendors.honest()
    with KINDS["vendors"].gate() as gate:
        outcomes, said = gate.outcomes([[one.data] for one in honest])
        assert said == []
        for one, (written, _) in zip(honest, outcomes, strict=True):
            [answer] = [answer for answer in read(written) if answer.status != 100]
            again = one.preset == "mailgun" and b"nonce_reused" in answer.body  # some share theirs, which is used up
            assert again or answer.status in vendors.BY_VERDICT.get(one.verdict, {401}), (one.name, answer)
        for batch in batches(SEED, 0, 1000, make=vendors.make):
            assert gate.complaints(batch) == [[]] * len(batch)


def test_the_same_over_sockets() -> None:
    [batch] = batches(SEED, 0, 200, 200)
    assert [found for found in converse(batch) if found] == []


# ── the model ──


@pytest.mark.parametrize("name", inputs.SIGNED)
def test_the_model_takes_what_is_honest_and_nothing_else(name: str) -> None:
    body = b'{"id": "evt_1", "event_id": "evt_1"}'
    lines = b"".join(b"%b: %b\r\n" % pair for pair in inputs.SIGNED[name](body, f"/webhooks/{name}", Honest()))
    start = b"POST /webhooks/%b HTTP/1.1\r\nHost: localhost:8000\r\n" % name.encode()
    whole = start + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body
    [asked] = requests(whole)
    assert asked
    assert (verdict := accepted(asked, inputs.AT))
    assert verdict[0] == name
    [other] = requests(whole.replace(b"evt_1", b"evt_2"))
    assert other
    assert accepted(other, inputs.AT) is None


class Honest(Random):
    """Chooses what a vendor would."""

    def choice(self, choices):  # type: ignore[no-untyped-def]  # whatever it is
        return choices[0]

    def randrange(self, *_: int) -> int:  # type: ignore[override]  # no other use
        return 1


@pytest.mark.parametrize(
    ("stream", "bodies"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\nHost: a\r\n\r\n", [b"ab", b""]),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: 1\r\n\r\n", [b"ab"]),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", [None]),
        (b"POST / HTTP/1.1\nHost: a\r\n\r\n", [None]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", [b"", None]),
        (b"GET / HTTP/1.1\r\nHost: a", []),
    ],
)
def test_the_model_reads_requests_as_the_rfc_says(stream: bytes, bodies: list[bytes | None]) -> None:
    assert [asked and asked.body for asked in requests(stream)] == bodies
