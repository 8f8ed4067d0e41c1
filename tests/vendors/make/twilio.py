"""Twilio's own library signs and verifies: forms, bodies whose hash stands in the address, SHA-1 and SHA-256."""

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode

from twilio.request_validator import HMAC_SHA256, RequestValidator, get_signature_algorithm

from tests.vendors.make.vectors import OTHER_SECRET, Vectors, fixture, package
from tests.vendors.sources import PUBLIC_URL

TOKEN, OLDER, SHARED = "larkspur0made0up0token0000000001", "larkspur0made0up0token0000000002", "made-up-shared-key"
SIGNATURE, SETTINGS = "X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
URL = f"{PUBLIC_URL}twilio"
BODY = fixture("twilio/delivered")
SID = "SM9d1c3f7a2b4e4f60a7c8d9e0f1a2b3c4"
INCOMING = {
    "MessageSid": SID,
    "SmsStatus": "received",
    "Body": "Grüße & Küsse =)+ 😀",
    "From": "+15005550006",
    "NumMedia": "0",
    "Empty": "",
}
CALL = {"CallSid": "CA7f00", "CallStatus": "completed", "CallDuration": "12"}
LISTS = [("MessageSid", SID), ("SmsStatus", "received"), ("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b")]
JSON = '{"MessageSid":"SM01","note":"grün"}'.encode()


class Parameters(dict[str, list[str]]):
    """As web frameworks hand them to the library."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def parameters(form: bytes) -> Parameters:
    return Parameters(parse_qs(form.decode(), keep_blank_values=True))


def signed(form: bytes, url: str = URL, token: str = TOKEN) -> dict[str, str]:
    return {**FORM, SIGNATURE: RequestValidator(token).compute_signature(url, parameters(form))}


def by_shared_key(form: bytes) -> dict[str, str]:
    signature = RequestValidator(SHARED).compute_signature(URL, parameters(form), HMAC_SHA256)
    return {**FORM, SIGNATURE: signature, SETTINGS: "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256"}


def verify(headers: dict[str, str], body: bytes) -> bool:
    algorithm = get_signature_algorithm(headers.get(SETTINGS.lower()))
    validator = RequestValidator(TOKEN if algorithm != HMAC_SHA256 else SHARED)
    return bool(validator.validate(URL, parameters(body), headers[SIGNATURE.lower()], algorithm))


def add_forms(vectors: Vectors) -> None:
    vectors.add("a status", signed(BODY), BODY, ids=[f"{SID}:delivered"], types=["delivered"])
    token = {**signed(BODY), "I-Twilio-Idempotency-Token": "0a4b8c1d-made-up"}
    vectors.add("a status with a token", token, BODY, ids=["0a4b8c1d-made-up"], types=["delivered"])
    incoming, call, lists = urlencode(INCOMING).encode(), urlencode(CALL).encode(), urlencode(LISTS).encode()
    vectors.add("a message beyond ASCII", signed(incoming), incoming, ids=[SID], types=["received"])
    vectors.add("a call", signed(call), call, ids=["CA7f00:completed"], types=["completed"])
    vectors.add("a parameter with several values", signed(lists), lists, ids=[SID], types=["received"])
    vectors.add("a shared key and SHA-256", by_shared_key(call), call, ids=["CA7f00:completed"], types=["completed"])


def add_addresses(vectors: Vectors) -> None:
    known: dict[str, Any] = {"ids": [f"{SID}:delivered"], "types": ["delivered"]}
    with_port = URL.replace(".com", ".com:443")
    vectors.add("signed with the port", signed(BODY, with_port), BODY, **known)
    elsewhere = {"public_url": "https://hooks.example.com:8443/in"}
    vectors.add("signed with another port", signed(BODY, elsewhere["public_url"]), BODY, source=elsewhere, **known)
    without = signed(BODY, "https://hooks.example.com/in")
    vectors.add("signed without the other port", without, BODY, source=elsewhere, **known)
    both = {**known, "query": "SmsStatus=sent&a="}
    vectors.add("the same parameter in the query", signed(BODY, f"{URL}?SmsStatus=sent&a="), BODY, **both)
    wrong = {"query": "SmsStatus=sent", "verdict": "signature_mismatch"}
    vectors.add("a query that was not signed", signed(BODY), BODY, **wrong)
    for name, url in (("another host", "https://example.com/webhooks/twilio"), ("http", URL.replace("https", "http"))):
        vectors.add(f"signed for {name}", signed(BODY, url), BODY, verdict="signature_mismatch")


def add_json(vectors: Vectors) -> None:
    query = f"x=1&bodySHA256={sha256(JSON).hexdigest()}"
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: RequestValidator(TOKEN).compute_signature(f"{URL}?{query}", {}),
    }
    assert RequestValidator(TOKEN).validate(f"{URL}?{query}", JSON.decode(), headers[SIGNATURE])
    vectors.add("a JSON body", headers, JSON, query=query, ids=["SM01"], types=["unknown"])
    vectors.add("another JSON body", headers, JSON + b" ", query=query, verdict="signature_mismatch")
    vectors.add(
        "a JSON body gone, as an empty form", {**headers, **FORM}, b"", query=query, verdict="signature_mismatch"
    )
    doubled = f"{query}&bodySHA256={sha256(b'{}').hexdigest()}"
    twice = {**headers, SIGNATURE: RequestValidator(TOKEN).compute_signature(f"{URL}?{doubled}", {})}
    vectors.add("two hashes", twice, JSON, query=doubled, verdict="signature_malformed")
    no_hash = {**headers, SIGNATURE: RequestValidator(TOKEN).compute_signature(URL, {})}
    vectors.add("a JSON body that nothing covers", no_hash, b'{"MessageSid":"SM01"}', verdict="signature_mismatch")


def add_forged(vectors: Vectors) -> None:
    call = urlencode(CALL).encode()
    shared = by_shared_key(call)
    for name, settings in (("other", "algorithm=HMAC_MD5"), ("two", "algorithm=HMAC_SHA1,algorithm=HMAC_SHA256")):
        vectors.add(f"{name} algorithms", {**shared, SETTINGS: settings}, call, verdict="signature_malformed")
    twice = [*shared.items(), (SETTINGS, "algorithm=HMAC_SHA1")]
    vectors.add("doubled settings", twice, call, verdict="signature_malformed")
    vectors.add("SHA-256 taken for SHA-1", {**shared, SETTINGS: "key=1"}, call, verdict="signature_malformed")
    more = BODY + b"&Body=more"
    vectors.add("a parameter more", signed(BODY), more, verdict="signature_mismatch")
    vectors.add("bytes that are no form", signed(BODY), BODY + b"&x=\xff", verdict="signature_malformed")
    vectors.add("percent codes that are no UTF-8", signed(BODY), BODY + b"&x=%ff", verdict="signature_malformed")


def main() -> None:
    secrets = [f"literal:{TOKEN}", f"literal:{OLDER}", f"literal:{SHARED}"]
    vectors = Vectors("twilio", f"{package('twilio')}, RequestValidator.compute_signature", secrets=secrets)
    add_forms(vectors)
    vectors.verified_by(verify)
    add_addresses(vectors)
    older = signed(BODY, token=OLDER)
    vectors.add("the older token", older, BODY, ids=[f"{SID}:delivered"], types=["delivered"])
    add_json(vectors)
    add_forged(vectors)
    vectors.forge(SIGNATURE, other={"secrets": [OTHER_SECRET]})
    vectors.write()


if __name__ == "__main__":
    main()
