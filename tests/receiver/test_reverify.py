"""A kept rejection is verified as the delivery was: each vendor's requests get the verdicts that intake gave them."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receiver.delivery import without_fields
from receiver.headers import header_lines, header_pairs, without
from receiver.http import httpx
from receiver.key_provider import KeyProvider
from receiver.problems import Problem
from receiver.reverify import Passing, hindrance, reverify
from receiver.schemes import Refused
from receiver.store.reads import Kept, RejectionRow
from receiver.store.times import to_us
from tests.vendors.sources import source_of

VECTORS = Path(__file__).parents[1] / "vendors" / "vectors"
PUBLIC_URL = "https://hooks.example.com"
UNCOVERED = ("mailgun", "paypal")


def vectors(preset: str) -> Any:
    return json.loads((VECTORS / f"{preset}.json").read_text("utf-8"))


def cases() -> Iterator[Any]:
    for file in sorted(VECTORS.glob("*.json")):
        known = vectors(file.stem)
        yield from (pytest.param(known, one, id=f"{file.stem}: {one['name']}") for one in known["requests"])


def kept(preset: str, request: Mapping[str, Any]) -> Kept:
    """As intake would keep this request of a vector."""
    body = b64decode(request["body_base64"]) if "body_base64" in request else request.get("body", "").encode()
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]]
    at, query = datetime.fromtimestamp(request["at"], UTC), request["query"]
    source = source_of(preset, {})
    query = without_fields(source.secret_fields, query)
    target = f"/webhooks/{preset}?{query}" if query else f"/webhooks/{preset}"
    row = RejectionRow(
        "rej_0000000000001", preset, at, "signature_mismatch", "", None, None, len(body), len(body),
        request["method"], "https", target,
    )  # fmt: skip
    return Kept(row, header_lines(without(source.secret_headers, raw)), body)


def again(preset: str, source: Mapping[str, Any], request: Mapping[str, Any], **more: Any) -> Passing:
    built, one = source_of(preset, source), kept(preset, request)
    return asyncio.run(reverify(one, built, PUBLIC_URL, more.get("provider", KeyProvider()), request["at"]))


@pytest.mark.parametrize(("known", "request_"), list(cases()))
def test_what_a_vendor_sent_gets_the_verdict_of_its_receipt(known: dict[str, Any], request_: dict[str, Any]) -> None:
    source = {**known["source"], **request_.get("source", {})}
    built = source_of(known["preset"], source)
    missed = hindrance(kept(known["preset"], request_), built)
    if not built.scheme.signs_body:
        assert missed
        return
    if request_["verdict"] != "accepted" or missed:
        with pytest.raises(Refused):
            again(known["preset"], source, request_)
        return
    arrival = again(known["preset"], source, request_).arrival
    assert [event.external_id for event in arrival.events] == request_["ids"]
    assert [event.type for event in arrival.events] == request_["types"]
    assert arrival.received_us == to_us(datetime.fromtimestamp(request_["at"], UTC))


def test_a_vendor_is_asked_for_its_key_as_at_the_receipt() -> None:
    known = vectors("aws-sns")
    request = next(one for one in known["requests"] if one["verdict"] == "accepted")
    pinned = {url: reference.removeprefix("literal:") for url, reference in known["source"]["keys"].items()}
    provider = KeyProvider(httpx.MockTransport(lambda asked: httpx.Response(200, text=pinned[str(asked.url)])))
    source = {key: value for key, value in known["source"].items() if key != "keys"}
    assert again("aws-sns", source, request, provider=provider).arrival.events
    down = KeyProvider(httpx.MockTransport(lambda asked: httpx.Response(500)))
    with pytest.raises(Problem) as caught:
        again("aws-sns", source, request, provider=down)
    assert caught.value.code == "keys_unavailable"


@pytest.mark.parametrize("preset", UNCOVERED)
def test_a_body_that_its_signature_does_not_cover_may_be_another_by_now(preset: str) -> None:
    known = vectors(preset)
    request = next(one for one in known["requests"] if one["verdict"] == "accepted")
    why_not = hindrance(kept(preset, request), source_of(preset, known["source"]))
    assert why_not is not None
    assert why_not.startswith("its signature does not cover the body; redelivery: ")


@pytest.mark.parametrize("raw", [[], [(b"a", b"")], [(b"a", b": b: "), (b"b", b"1"), (b"a", b"\xff")]])
def test_headers_are_read_as_they_were_kept(raw: list[tuple[bytes, bytes]]) -> None:
    assert header_pairs(header_lines(raw)) == raw
