"""Every preset there is, and the requests that its vendor's own code has signed for it: honest, then damaged.

There is no model of sixty vendors here. What is asked of them is that nothing breaks, and that none who signs the body
has another one accepted than those that were signed.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from receiver.sources import Source
from tests.fuzz.changes import change
from tests.fuzz.framing import requests
from tests.fuzz.inputs import cut
from tests.fuzz.judge import LookUp, read
from tests.vendors.sources import PUBLIC_URL, source_of

AT = 1_760_000_000
VECTORS = Path(__file__).parents[1] / "vendors" / "vectors"
STATUSES = frozenset({200, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 431})
WELL = {200, 202, 204}
BY_VERDICT = {"accepted": WELL, "answered": WELL, "handshake_refused": {403}, "handshake_malformed": {400}}
"""What the verdict is answered with; any other is a 401."""
# Whoever has seen one request of theirs can send other bodies, or their signature stands in the body itself.
SIGN_NO_BODY = frozenset(
    {"adyen", "auth0-logstream", "aws-sns", "azure-eventgrid", "braintree", "cloudevents", "contentful", "datadog"}
    | {"gitlab-token", "google-pubsub", "mailgun", "microsoft-graph", "okta", "rfc9421", "telegram", "twilio"}
)


class Honest(NamedTuple):
    name: str
    preset: str
    data: bytes
    body: bytes
    verdict: str


@cache
def sources() -> dict[str, Source]:
    return {known["preset"]: source_of(known["preset"], known["source"]) for known in _known()}


@cache
def honest() -> list[Honest]:
    """Those that are judged by this clock, and need no more of the configuration than others."""
    return [
        Honest(f"{known['preset']}: {one['name']}", known["preset"], _data(known, one), _body(one), one["verdict"])
        for known in _known()
        for one in known["requests"]
        if one["at"] == AT and "source" not in one and not _calls(known, one)
    ]


def make(random: Random) -> list[bytes]:
    stream = random.choice(honest()).data
    for _ in range(random.choice([1, 1, 2, 3])):
        stream = change(stream, random)
    return cut(stream, random)


def complaints(stream: bytes, written: bytes, closed: bool, look_up: LookUp) -> Iterator[str]:
    signed = {(one.preset, one.body) for one in honest() if one.verdict == "accepted"}
    asked = list(requests(stream))
    for number, answer in enumerate(one for one in read(written) if one.status != 100):
        if answer.status not in STATUSES:
            yield f"the status {answer.status}: {answer.body[:200]!r}"
        what = asked[number] if number < len(asked) else None
        preset = unquote_to_bytes(what.target.partition(b"?")[0]).rpartition(b"/")[2].decode("latin-1") if what else ""
        if answer.ids and preset not in SIGN_NO_BODY and (not what or (preset, what.body) not in signed):
            yield f"accepted, and nobody signed it: {answer.body[:200]!r}"


def _known() -> Iterator[dict[str, Any]]:
    for file in sorted(VECTORS.glob("*.json")):
        yield json.loads(file.read_text("utf-8"))


def _calls(known: dict[str, Any], one: dict[str, Any]) -> bool:
    """An address of the vendor's would be fetched."""
    return bool(known["preset"] == "aws-sns" and one["verdict"] == "answered")


def _body(one: dict[str, Any]) -> bytes:
    return b64decode(one["body_base64"]) if "body_base64" in one else one.get("body", "").encode()


def _data(known: dict[str, Any], one: dict[str, Any]) -> bytes:
    path = f"/webhooks/{known['preset']}" + (f"?{one['query']}" if one["query"] else "")
    names = {name.lower() for name, _ in one["headers"]}
    headers = [("Host", PUBLIC_URL.split("/")[2])] if "host" not in names else []
    headers += one["headers"]
    if not names & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(_body(one)))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{one['method']} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + _body(one)
