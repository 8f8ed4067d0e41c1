"""HubSpot's own library signs and verifies version 3. The method and the address are signed too; a body is a list."""

from hubspot.utils.signature import Signature

from tests.vendors.make.vectors import NOW, Vectors, fixture, package

SECRET = "larkspur-made-up-client-secret"
URL = "https://hooks.larkspur.example/hubspot"
BODY = fixture("hubspot-v3/contact.propertyChange")
KNOWN = {"ids": ["3181526809", "1274035502"], "types": ["contact.propertyChange", "contact.creation"]}


def signed(body: bytes, *, url: str = URL, method: str = "POST", at: int = NOW * 1000) -> dict[str, str]:
    signature: str = Signature.get_signature(SECRET, body.decode(), "v3", url, method, str(at))
    return {"X-HubSpot-Request-Timestamp": str(at), "X-HubSpot-Signature-v3": signature}


def verify(headers: dict[str, str], body: bytes) -> object:
    signature, timestamp = headers["x-hubspot-signature-v3"], headers["x-hubspot-request-timestamp"]
    return Signature.is_valid(signature, SECRET, body.decode(), URL, "POST", "v3", timestamp)


def main() -> None:
    made_by = f"{package('hubspot-api-client')}, utils.signature.Signature.get_signature"
    vectors = Vectors("hubspot-v3", made_by, public_url=URL, secrets=[f"literal:{SECRET}"])
    vectors.add("two events", signed(BODY), BODY, **KNOWN)
    vectors.verified_by(verify)
    vectors.forge("X-HubSpot-Signature-v3", tolerance_s=300)
    with_query = signed(BODY, url=f"{URL}?portal=62515")
    vectors.add("an address with a query", with_query, BODY, query="portal=62515", **KNOWN)
    for name, headers, code in (
        ("for another address", signed(BODY, url=f"{URL}/other"), "signature_mismatch"),
        ("for another method", signed(BODY, method="GET"), "signature_mismatch"),
        ("another time", {**signed(BODY), "X-HubSpot-Request-Timestamp": str(NOW * 1000 + 1)}, "signature_mismatch"),
        ("in seconds", signed(BODY, at=NOW), "timestamp_stale"),
        ("without a time", {**signed(BODY), "X-HubSpot-Request-Timestamp": ""}, "timestamp_missing"),
    ):
        vectors.add(name, headers, BODY, verdict=code)
    vectors.add("no list", signed(b'{"eventId":1}'), b'{"eventId":1}', ids=["1"], types=["unknown"])
    vectors.write()


if __name__ == "__main__":
    main()
