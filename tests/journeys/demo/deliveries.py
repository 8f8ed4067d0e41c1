"""What the demo sends, and what must come of each."""

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection

from receiver.fixture import Fixture, find_fixture
from receiver.schemes import Key
from receiver.settings import Settings
from receiver.sources import Source, build_source

FORGED = Key("literal:…", b"whoever has no secret can only guess one")


@dataclass(frozen=True, slots=True)
class Outcome:
    answer: str
    state: str = "-"
    attempts: int = 0
    effects: int = 0


DONE = Outcome("200 accepted", "done", attempts=1, effects=1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A fixture, by the name that `postern send` takes too, and how it is sent."""

    fixture: str
    expected: Outcome = DONE
    note: str = ""
    forged: bool = False
    age_s: float = 0

    @property
    def source(self) -> str:
        return self.fixture.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Sent:
    delivery: Delivery
    type: str
    answer: str
    event: str | None


FAILS_TWICE = "/courier/pickups"
CUT_OFF = "/warehouse/orders"

DELIVERIES = (
    Delivery("stripe/payment_intent.succeeded"),
    Delivery(
        "stripe/payment_intent.succeeded",
        Outcome("200 duplicate", "done", attempts=1, effects=1),
        "the same again",
    ),
    Delivery("stripe/charge.refunded", Outcome("401 timestamp_stale"), "signed an hour ago", age_s=3600),
    Delivery(
        "stripe/payment_intent.succeeded__anonymous",
        Outcome("200 accepted", "done", attempts=1, effects=0),
        "its handler dropped it",
    ),
    Delivery("github/pull_request.opened"),
    Delivery("github/push", Outcome("401 signature_mismatch"), "forged", forged=True),
    Delivery("github/ping", Outcome("200 accepted", "unhandled"), "nobody asks for it"),
    Delivery(
        "shopify/orders/paid",
        Outcome("200 accepted", "done", attempts=3, effects=2),
        "2 calls, the second failed twice",
    ),
    Delivery("slack/url_verification", Outcome("200 challenge"), "a handshake, no event"),
    Delivery("slack/app_mention"),
    Delivery("standardwebhooks/user.created"),
    Delivery("standardwebhooks/user.deleted"),
    Delivery("acme/batch.sealed", Outcome("200 accepted", "done", attempts=1, effects=3), "3 calls"),
)
LAST = Delivery(
    "acme/order.created",
    Outcome("200 accepted", "done", attempts=2, effects=1),
    "killed in the middle of it",
)


def send(delivery: Delivery, settings: Settings) -> Sent:
    """Sign the fixture as its vendor would, now or `age_s` ago, and post it."""
    fixture = find_fixture(delivery.fixture, settings.root, settings.sources)
    source = build_source(delivery.source, settings)
    server = settings.server
    path = f"/webhooks/{source.name}"
    headers = _signed(fixture, source, delivery, f"http://{server.host}:{server.port}{path}")
    connection = HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request("POST", path, fixture.body, {**headers, "Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read()
    finally:
        connection.close()
    if response.status == 200 and said in fixture.body:
        return Sent(delivery, fixture.type, "200 challenge", None)
    problem_or_event = json.loads(said)
    word = problem_or_event.get("code") or problem_or_event["status"]
    return Sent(delivery, fixture.type, f"{response.status} {word}", problem_or_event.get("id"))


def _signed(fixture: Fixture, source: Source, delivery: Delivery, url: str) -> dict[str, str]:
    key = FORGED if delivery.forged else source.keys[0]
    now = time.time() - delivery.age_s
    id = fixture.header_id(source.preset)
    return dict(source.scheme.sign(fixture.body, key, now, url=url, id=id, type=fixture.type).headers)
