"""LINE: its library verifies what is signed here."""

from linebot.v3.webhook import SignatureValidator

from tests.vendors.make.macs import compact, in_base64
from tests.vendors.make.vectors import NOW, Vectors, package

SECRET = "8c570fa6dd201bb328f1c1eac23a96d8"
MESSAGE = {
    "type": "message",
    "webhookEventId": "01H810YECXQQZ37VAXPF6H9E6T",
    "deliveryContext": {"isRedelivery": False},
    "timestamp": (NOW - 1) * 1000,
    "source": {"type": "user", "userId": "U80696558e1aa831bb4b1b9a6a4a0b4c1"},
    "mode": "active",
    "message": {"id": "468789577898262530", "type": "text", "quoteToken": "q3Plxr4AgKd", "text": "Grüezi 🐑"},
}
FOLLOW = {
    "type": "follow",
    "webhookEventId": "01FZ74A0TDDPYRVKNK77XKC3ZR",
    "deliveryContext": {"isRedelivery": False},
    "timestamp": (NOW - 2) * 1000,
    "source": {"type": "user", "userId": "U4af4980629aa831bb4b1b9a6a4a0b4c2"},
    "mode": "active",
    "follow": {"isUnblocked": False},
}


def signed(*events: object) -> tuple[dict[str, str], bytes]:
    body = compact({"destination": "U53387d548170020e6f3a9a4d1d5d6d2d", "events": events})
    signature = in_base64(SECRET, body)
    assert SignatureValidator(SECRET).validate(body.decode(), signature)
    return {"Content-Type": "application/json; charset=utf-8", "x-line-signature": signature}, body


def main() -> None:
    vectors = Vectors("line", made_by=f"{package('line-bot-sdk')} verifies them", secrets=[f"literal:{SECRET}"])
    ids = [str(event["webhookEventId"]) for event in (MESSAGE, FOLLOW)]
    vectors.add("two events", *signed(MESSAGE, FOLLOW), ids=ids, types=["message", "follow"])
    vectors.forge("x-line-signature")
    again = {**FOLLOW, "deliveryContext": {"isRedelivery": True}}
    vectors.add("one of them, delivered again", *signed(again), ids=ids[1:], types=["follow"])
    nameless = {name: value for name, value in FOLLOW.items() if name != "type"}
    vectors.add("an event without a type", *signed(MESSAGE, nameless), ids=ids, types=["message", "unknown"])
    vectors.add("the Verify button", *signed())
    vectors.write()


if __name__ == "__main__":
    main()
