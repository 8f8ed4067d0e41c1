"""The vendors: events as they would send them, with signatures made anew for each POST. Nothing here is Postern's."""

import hashlib
import hmac
import json
import random
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support import sender
from tests.support.sender import Pairs

WORDS = ("crate", "Kiste", "ящик", "箱", 'a "quoted" one', "back\\slash", "e\u0301", "🛶")
MOODS = ("plain", "plain", "plain", "plain", "plain", "stumble", "again", "drop")
STANDARD_SECRET = "whsec_" + b64encode(b"of the crash test, 24 by").decode()
SECRETS = {"stripe": sender.SECRET, "github": sender.SECRET, "standardwebhooks": STANDARD_SECRET}
WRONG_SECRETS = {
    "stripe": sender.OTHER_SECRET,
    "github": sender.OTHER_SECRET,
    "standardwebhooks": "whsec_" + b64encode(b"of somebody else, 24 byt").decode(),
}
SOURCE_OF = {
    "payment_intent.succeeded": "stripe",
    "charge.refunded": "stripe",
    "push": "github",
    "ping": "github",
    "invoice.paid": "standardwebhooks",
    "price.asked": "standardwebhooks",
    "bill.due": "standardwebhooks",
}
USUAL = ("payment_intent.succeeded", "charge.refunded", "push", "ping", "invoice.paid", "price.asked")


@dataclass(slots=True)
class Fact:
    """One event, as its vendor knows it. `ids` are those that 2xx answers named; `accepted` of them called it new."""

    type: str
    external_id: str
    mood: str
    body: bytes
    posts: int = 0
    accepted: int = 0
    ids: list[str] = field(default_factory=list)
    repeats: int = 0
    """To be posted again so often although it is accepted."""
    forged: bool = False
    """To be followed by a forged one."""

    @property
    def source(self) -> str:
        return SOURCE_OF[self.type]

    def headers(self, body: bytes, secrets: dict[str, str] = SECRETS) -> Pairs:
        secret, now = secrets[self.source], time.time()
        match self.source:
            case "stripe":
                return sender.stripe(body, secret, now)
            case "github":
                return sender.github(body, self.external_id, self.type, secret)
            case _:
                return standardwebhooks(body, self.external_id, secret, now)


def standardwebhooks(body: bytes, external_id: str, secret: str, at: float) -> Pairs:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    key = b64decode(secret.removeprefix("whsec_"))
    signed = f"{external_id}.{int(at)}.".encode() + body
    signature = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return [
        ("webhook-id", external_id),
        ("webhook-timestamp", str(int(at))),
        ("webhook-signature", f"v1,{signature}"),
    ]


def facts(seed: int, types: tuple[str, ...] = USUAL) -> Iterator[Fact]:
    """Without end; the same for the same seed."""
    chance = random.Random(seed)
    number = 0
    while True:
        type_ = types[number % len(types)]
        mood = "plain" if type_ == "price.asked" else chance.choice(MOODS)
        yield fact(type_, f"evt_{seed}_{number}", mood, chance)
        number += 1


def fact(type_: str, external_id: str, mood: str, chance: random.Random) -> Fact:
    item = {"mood": mood, "text": chance.choices(WORDS, k=3), "filling": "x" * chance.choice((0, 10, 100, 4000))}
    content: dict[str, Any] = {
        "id": external_id,
        "type": type_,
        "data": {"object": item} if SOURCE_OF[type_] == "stripe" else item,
    }
    if SOURCE_OF[type_] == "github":
        content = item
    # Exact bytes are kept, so they differ in what a parser would throw away.
    body = json.dumps(content, indent=chance.choice((None, 2)), ensure_ascii=chance.random() < 0.5)
    return Fact(type_, external_id, mood, (body + chance.choice(("", "\n", " \r\n"))).encode())


Forgery = Callable[[Fact], tuple[bytes, Pairs]]


def _wrong_secret(fact: Fact) -> tuple[bytes, Pairs]:
    return fact.body, fact.headers(fact.body, WRONG_SECRETS)


def _altered(fact: Fact) -> tuple[bytes, Pairs]:
    return fact.body.replace(b"mood", b"wood"), fact.headers(fact.body)


def _unsigned(fact: Fact) -> tuple[bytes, Pairs]:
    kept = [pair for pair in fact.headers(fact.body) if "signature" not in pair[0].lower()]
    return fact.body, kept


FORGERIES: tuple[Forgery, ...] = (_wrong_secret, _altered, _unsigned)
