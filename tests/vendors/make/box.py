"""Box's own library signs and verifies. In its documentation there is an example."""

import json
from datetime import UTC, datetime
from typing import Any

import time_machine
from box_sdk_gen.internal.utils import compute_webhook_signature
from box_sdk_gen.managers.webhooks import WebhooksManager

from tests.vendors.make.vectors import NOW, OTHER_SECRET, Vectors, fixture, package

PRIMARY, SECONDARY = "SamplePrimaryKey", "SampleSecondaryKey"  # those of the example
FIRST, SECOND = "BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"
TIME, VERSION, ALGORITHM = "BOX-DELIVERY-TIMESTAMP", "BOX-SIGNATURE-VERSION", "BOX-SIGNATURE-ALGORITHM"
TOLERANCE_S = 600
BODY = fixture("box/FILE.UPLOADED")
EVENT: dict[str, Any] = json.loads(BODY)
KNOWN: dict[str, Any] = {"ids": [EVENT["id"]], "types": ["FILE.UPLOADED"]}
# https://developer.box.com/guides/webhooks/v2/signatures-v2
EXAMPLE_BODY = (
    '{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED",'
    '"source":{"id":"1234567890","type":"file","name":"Test.txt"}}'
)
EXAMPLE = {
    "BOX-DELIVERY-ID": "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f",
    TIME: "2020-01-01T00:00:00-07:00",
    ALGORITHM: "HmacSHA256",
    VERSION: "1",
    FIRST: "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=",
    SECOND: "v+1CD1Jdo3muIcbpv5lxxgPglOqMfsNHPV899xWYydo=",
}
EXAMPLE_AT = 1577862000


def signed(body: bytes, at: float = NOW, *, escape: bool = False) -> dict[str, str]:
    headers = {
        "BOX-DELIVERY-ID": "3d1c5b7a-made-up",
        TIME: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        VERSION: "1",
        ALGORITHM: "HmacSHA256",
    }
    small = {name.lower(): value for name, value in headers.items()}
    for name, key in ((FIRST, PRIMARY), (SECOND, SECONDARY)):
        headers[name] = str(compute_webhook_signature(body.decode(), small, key, escape))
    return headers


def verify(headers: dict[str, str], body: bytes) -> bool:
    return bool(WebhooksManager.validate_message(body.decode(), headers, PRIMARY, secondary_key=SECONDARY))


def named(name: str) -> bytes:
    event = {**EVENT, "source": {**EVENT["source"], "name": name}}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def add_good(vectors: Vectors) -> None:
    vectors.add("an upload", signed(BODY), BODY, **KNOWN)
    ids = {"ids": [EXAMPLE["BOX-DELIVERY-ID"]], "types": ["FILE.UPLOADED"]}
    vectors.add("an older test's example", EXAMPLE, EXAMPLE_BODY, at=EXAMPLE_AT, **ids)
    beyond = named("Größe 😀/ü.txt")
    vectors.add("beyond ASCII", signed(beyond), beyond, **KNOWN)
    vectors.add("beyond ASCII, signed with escapes", signed(beyond, escape=True), beyond, **KNOWN)


def add_keys(vectors: Vectors) -> None:
    good = signed(BODY)
    one = {name: value for name, value in good.items() if name != SECOND}
    vectors.add("one key", one, BODY, source={"secrets": [f"literal:{PRIMARY}"]}, **KNOWN)
    other = {name: value for name, value in good.items() if name != FIRST}
    vectors.add("the secondary signature only", other, BODY, **KNOWN)
    rotated = {"secrets": [OTHER_SECRET, f"literal:{SECONDARY}"]}
    vectors.add("a primary key that was replaced", good, BODY, source=rotated, **KNOWN)
    vectors.add("one of two signatures is none", {**good, FIRST: "nonsense"}, BODY, verdict="signature_malformed")


def add_forged(vectors: Vectors) -> None:
    good = signed(BODY)
    beyond = named("Größe 1")
    for name, headers, body, verdict in (
        ("another version", {**good, VERSION: "2"}, BODY, "signature_malformed"),
        ("another algorithm", {**good, ALGORITHM: "HmacSHA1"}, BODY, "signature_malformed"),
        ("no version", {name: good[name] for name in good if name != VERSION}, BODY, "signature_malformed"),
        ("another time", {**good, TIME: "2025-10-09T08:53:21Z"}, BODY, "signature_mismatch"),
        ("no time", {name: good[name] for name in good if name != TIME}, BODY, "timestamp_missing"),
        ("a time without an offset", {**good, TIME: "2025-10-09T08:53:20"}, BODY, "timestamp_malformed"),
        ("escapes of another body", signed(beyond, escape=True), named("Größe 2"), "signature_mismatch"),
        ("bytes that are no UTF-8", good, b"\xff\xfe", "signature_mismatch"),
    ):
        vectors.add(name, headers, body, verdict=verdict)
    said, meant = rb'{"id":"1","name":"\u00e9\\"}', '{"id":"1","name":"é\\"}'.encode()
    with time_machine.travel(NOW, tick=False):
        assert verify({name.lower(): value for name, value in signed(said).items()}, meant)
    vectors.add("backslashes, which the library doubles", signed(said), meant, verdict="signature_mismatch")


def main() -> None:
    secrets = [f"literal:{PRIMARY}", f"literal:{SECONDARY}"]
    vectors = Vectors("box", f"{package('boxsdk')}, compute_webhook_signature", secrets=secrets)
    add_good(vectors)
    vectors.verified_by(verify)
    add_keys(vectors)
    vectors.forge(
        FIRST,
        tolerance_s=TOLERANCE_S,
        # The secondary one is still there, and right.
        missing_signature="accepted",
        empty_signature="accepted",
    )
    add_forged(vectors)
    vectors.write()


if __name__ == "__main__":
    main()
