"""Contentful's own library signs and verifies a canonical request, whose path it encodes anew."""

from typing import Any

from tests.vendors.make.vectors import NOW, Vectors, fixture, node, npm_package
from tests.vendors.sources import PUBLIC_URL

SECRET = "larkspur-made-up-secret-of-exactly-sixty-four-characters-0000001"
OTHER = "larkspur-made-up-secret-of-exactly-sixty-four-characters-0000002"
SIGNATURE, LIST, TIME = "x-contentful-signature", "x-contentful-signed-headers", "x-contentful-timestamp"
TOPIC, KEY = "X-Contentful-Topic", "X-Contentful-Idempotency-Key"
TOLERANCE_S = 30
TYPE = "ContentManagement.Entry.publish"
SENT = {TOPIC: TYPE, KEY: "6f1c9a-made-up", "X-Contentful-CRN": " crn:contentful:::content:spaces/larkspur "}
KNOWN = {"ids": ["6f1c9a-made-up"], "types": [TYPE]}
BODY = fixture(f"contentful/{TYPE}")
PATH = "/webhooks/contentful"


def signed(
    body: bytes, sent: dict[str, str] = SENT, *, path: str = PATH, at: float = NOW, **more: Any
) -> dict[str, str]:
    request = {"method": "POST", "path": path, "headers": sent, "body": body.decode()}
    question = {"secret": SECRET, "sign": request, "timestamp": int(at * 1000), **more}
    return {**sent, **node("contentful.mjs", question)}


def verify(headers: dict[str, str], body: bytes) -> bool:
    request = {"method": "POST", "path": PATH, "headers": headers, "body": body.decode()}
    return bool(node("contentful.mjs", {"secret": SECRET, "verify": request, "now": NOW * 1000}))


def add_good(vectors: Vectors) -> None:
    vectors.add("an entry", signed(BODY), BODY, **KNOWN)
    vectors.add("more headers than are signed", {**signed(BODY), "X-Forwarded-Proto": "https"}, BODY, **KNOWN)
    nothing = {"ids": [KNOWN["ids"][0]], "types": ["unknown"]}
    vectors.add("no body", signed(b"", {KEY: SENT[KEY]}), b"", **nothing)


def add_addresses(vectors: Vectors) -> None:
    query = "a=1&b=%C3%A9&c=x+y/~()"
    vectors.add("a query", signed(BODY, path=f"{PATH}?{query}"), BODY, query=query, **KNOWN)
    vectors.add("a query that was not signed", signed(BODY), BODY, query="a=1", verdict="signature_mismatch")
    elsewhere = {"public_url": "https://hooks.example.com/a%20b/c;d@e:f"}
    path = elsewhere["public_url"].removeprefix(PUBLIC_URL.removesuffix("/webhooks/"))
    vectors.add("an encoded path", signed(BODY, path=path), BODY, source=elsewhere, **KNOWN)
    vectors.add("another path", signed(BODY, path="/webhooks/other"), BODY, verdict="signature_mismatch")


def add_forged(vectors: Vectors) -> None:
    good = signed(BODY)
    unsigned_topic = signed(BODY, {KEY: SENT[KEY]})
    for name, headers, verdict in (
        ("a changed topic", {**good, TOPIC: "ContentManagement.Entry.delete"}, "signature_mismatch"),
        ("a topic gone", {name: value for name, value in good.items() if name != TOPIC}, "signature_missing"),
        ("a header less in the list", {**good, LIST: f"{LIST},{TIME}"}, "signature_mismatch"),
        ("a list without the time", {**good, LIST: f"x-contentful-topic,{LIST}"}, "signature_malformed"),
        ("a list with a name twice", {**good, LIST: f"{good[LIST]},{TIME}"}, "signature_malformed"),
        ("a list of nonsense", {**good, LIST: "a b;c"}, "signature_malformed"),
        ("a list beyond ASCII", {**good, LIST: good[LIST] + "\xe9"}, "signature_malformed"),
        ("no list", {name: value for name, value in good.items() if name != LIST}, "signature_missing"),
        ("two lists", [*good.items(), (LIST, f"{LIST},{TIME}")], "signature_malformed"),
        ("two topics", [*good.items(), (TOPIC, "other")], "signature_malformed"),
        ("another time", {**good, TIME: str(NOW * 1000 + 1)}, "signature_mismatch"),
        ("a time in seconds", {**good, TIME: str(NOW)}, "signature_mismatch"),
        ("a time with letters behind it", {**good, TIME: f"{NOW * 1000}ms"}, "timestamp_malformed"),
    ):
        vectors.add(name, headers, BODY, verdict=verdict)
    known = {"ids": KNOWN["ids"], "types": ["anything"]}
    vectors.add("a topic that is not signed", {**unsigned_topic, TOPIC: "anything"}, BODY, **known)


def main() -> None:
    made_by = f"{npm_package('@contentful/node-apps-toolkit')}, signRequest"
    vectors = Vectors("contentful", made_by, secrets=[f"literal:{SECRET}"])
    add_good(vectors)
    vectors.verified_by(verify, id="6f1c9a-made-up", type=TYPE)
    add_addresses(vectors)
    add_forged(vectors)
    vectors.forge(SIGNATURE, tolerance_s=TOLERANCE_S, other={"secrets": [f"literal:{OTHER}"]})
    vectors.write()


if __name__ == "__main__":
    main()
