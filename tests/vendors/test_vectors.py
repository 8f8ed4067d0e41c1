"""Every request in `vectors/` gets the verdict that stands beside it. Each file says who made it; nobody here did."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.errors import UserError
from receiver.schemes import Reply
from receiver.schemes.presets import preset_names
from tests.vendors.sources import received, request_of, sent, source_of

VECTORS = {file.stem: json.loads(file.read_text("utf-8")) for file in Path(__file__).with_name("vectors").iterdir()}
OTHER_SECRET = f"literal:{'5a' * 32}"
# Only their vendors can: the keys that we have are public, and some are inside certificates.
CANNOT_SIGN = frozenset({"aws-sns", "discord", "google-pubsub", "paypal", "plaid", "sendgrid", "standardwebhooks-v1a"})


def cases() -> Iterator[Any]:
    for name, known in sorted(VECTORS.items()):
        for request in known["requests"]:
            yield pytest.param(known, request, id=f"{name}: {request['name']}")


def body_of(request: dict[str, Any]) -> bytes:
    text: str = request.get("body", "")
    return b64decode(request["body_base64"]) if "body_base64" in request else text.encode()


@pytest.mark.parametrize(("known", "request_"), list(cases()))
def test_a_request_gets_its_verdict(known: dict[str, Any], request_: dict[str, Any]) -> None:
    source = source_of(known["preset"], {**known["source"], **request_.get("source", {})})
    headers = [(name, value) for name, value in request_["headers"]]
    request = request_of(source, headers, body_of(request_), method=request_["method"], query=request_["query"])
    outcome = received(source, request, request_["at"])
    assert outcome.verdict == request_["verdict"]
    assert outcome.ids == tuple(request_.get("ids", ()))
    assert outcome.types == tuple(request_.get("types", ()))
    if "answer" in request_:
        assert_answer(outcome.reply, request_["answer"])


def assert_answer(reply: Reply | None, expected: dict[str, Any]) -> None:
    assert reply is not None
    assert reply.status == expected.get("status", 200)
    if "body" in expected:
        assert reply.body.decode() == expected["body"]
    if "json" in expected:
        assert json.loads(reply.body) == expected["json"]
    for name, value in expected.get("headers", ()):
        assert (name.lower().encode(), value.encode()) in reply.headers


@pytest.mark.parametrize("name", VECTORS)
def test_a_file_is_called_like_its_preset_and_has_good_and_forged_requests(name: str) -> None:
    known = VECTORS[name]
    verdicts = {request["verdict"] for request in known["requests"]}
    assert known["preset"] == name
    assert known["made_by"]
    assert "accepted" in verdicts
    assert verdicts - {"accepted", "answered"}
    names = [request["name"] for request in known["requests"]]
    assert len(names) == len(set(names))


def test_every_preset_has_its_vectors() -> None:
    assert sorted(VECTORS) == list(preset_names())


@pytest.mark.parametrize("name", sorted({*VECTORS} - CANNOT_SIGN))
@settings(max_examples=20, deadline=None)
@given(now=st.integers(10**9, 2 * 10**9))
def test_what_a_preset_signs_it_verifies_at_that_time_and_with_no_other_secret(name: str, now: int) -> None:
    known = VECTORS[name]
    source = source_of(name, known["source"])
    good = next(request for request in known["requests"] if request["verdict"] == "accepted")
    ours = sent(source, body_of(good), now, id=good["ids"][0], type=good["types"][0])
    request = request_of(source, ours.headers, ours.body, query=ours.query)
    outcome = received(source, request, now)
    assert outcome.verdict == "accepted"
    assert len(outcome.ids) == len(good["ids"])
    stranger = source_of(name, {**known["source"], "secrets": [OTHER_SECRET]})
    assert received(stranger, request, now).verdict == "signature_mismatch"


@pytest.mark.parametrize("name", sorted(CANNOT_SIGN))
def test_what_only_the_vendor_can_sign_is_an_error_that_says_so(name: str) -> None:
    source = source_of(name, VECTORS[name]["source"])
    with pytest.raises(UserError):
        source.scheme.sign(b"{}", source.keys[0], 0, url="", id=None, type=None)
