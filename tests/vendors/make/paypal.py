"""PayPal's own library says what is signed; certificates are our own, as PayPal's key is PayPal's."""

from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from paypalrestsdk.notifications import WebhookEvent

from tests.vendors.make.made_up_keys import certificate, pem, rsa_key
from tests.vendors.make.vectors import NOW, Vectors, fixture, package

WEBHOOK = "9XL90610J3647323C"
TRANSMISSION = "d938e770-8046-11e6-8103-6b62a8a99ac4"
TIME = "2025-10-09T08:53:20Z"
CERTS = "https://api.sandbox.paypal.com/v1/notifications/certs/"
ADDRESS = f"{CERTS}CERT-360caa42-fca2a594-a5cafa77"
SIGNATURE = "PAYPAL-TRANSMISSION-SIG"
KEY, OTHER, ROOT_KEY = rsa_key("paypal"), rsa_key("somebody else"), rsa_key("root")
NAME = "messageverificationcerts.paypal.com"
ROOT = certificate("Larkspur Root", ROOT_KEY, authority=True)
ISSUER = ("Larkspur Root", ROOT_KEY)
LEAF = certificate(NAME, KEY, ISSUER)


def headers(body: bytes, key: Any = KEY, **changes: str) -> dict[str, str]:
    content = WebhookEvent._get_expected_sig(TRANSMISSION, TIME, WEBHOOK, body.decode())
    made = {
        "PAYPAL-TRANSMISSION-ID": TRANSMISSION,
        "PAYPAL-TRANSMISSION-TIME": TIME,
        SIGNATURE: b64encode(key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())).decode(),
        "PAYPAL-CERT-URL": ADDRESS,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }
    return {**made, **{f"PAYPAL-{name.replace('_', '-')}": text for name, text in changes.items()}}


def pinned(*certificates: Any, address: str = ADDRESS) -> dict[str, Any]:
    return {"keys": {address: f"literal:{''.join(map(pem, certificates))}"}}


def main() -> None:
    made_by = f"{package('paypalrestsdk')}, WebhookEvent._get_expected_sig"
    anchors = {"trust_anchors": [f"literal:{pem(ROOT)}"]}
    vectors = Vectors("paypal", made_by, webhook_id=WEBHOOK, **pinned(LEAF), **anchors)
    body = fixture("paypal/PAYMENT.CAPTURE.COMPLETED")
    ids: Any = {"ids": ["WH-58D329510W468432D-8HN650336L201105X"], "types": ["PAYMENT.CAPTURE.COMPLETED"]}
    good = headers(body)
    vectors.add("a capture", good, body, **ids)
    vectors.add("without its algorithm", _without(good, "PAYPAL-AUTH-ALGO"), body, **ids)
    middle_key = rsa_key("middle")
    middle = certificate("Larkspur Middle", middle_key, ISSUER, authority=True)
    below = certificate(NAME, KEY, ("Larkspur Middle", middle_key))
    none: Any = {"trust_anchors": []}
    trusted = {
        "a certificate with its issuer's": pinned(below, middle),
        "a certificate alone": pinned(LEAF) | none,
        "its key alone": {"keys": {ADDRESS: f"literal:{pem(KEY.public_key())}"}},
        "a key without an address": {"keys": {}, "public_keys": [f"literal:{pem(KEY.public_key())}"]},
        "both keys of a rotation": {"keys": {**pinned(LEAF)["keys"], f"{CERTS}CERT-old": f"literal:{pem(LEAF)}"}},
    }
    for name, source in trusted.items():
        vectors.add(name, good, body, source=source, **ids)
    vectors.forge(SIGNATURE, tolerance_s=300, other=pinned(certificate(NAME, OTHER, ISSUER)))
    no_authority = certificate("Larkspur Middle", middle_key, ISSUER)
    distrusted = {
        "of another root": pinned(certificate(NAME, KEY, ("Larkspur Root", OTHER))),
        "of nobody but itself": pinned(certificate(NAME, KEY)),
        "by one who is no authority": pinned(below, no_authority),
        "without its issuer's": pinned(below),
        "that has run out": pinned(certificate(NAME, KEY, ISSUER, days=(0, 200))),
        "of the future": pinned(certificate(NAME, KEY, ISSUER, days=(300, 400))),
        "that has run out, without anchors": pinned(certificate(NAME, KEY, ISSUER, days=(0, 200))) | none,
        "of another name": pinned(certificate("paypal.com.example.com", KEY, ISSUER)),
        "of a name that ends alike": pinned(certificate("notpaypal.com", KEY, ISSUER)) | none,
    }
    for name, source in distrusted.items():
        vectors.add(f"a certificate {name}", good, body, source=source, verdict="signature_mismatch")
    addresses = {
        "another host": "https://api.evil.example/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
        "a user": "https://api.sandbox.paypal.com@evil.example/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
        "a host behind a backslash": "https://evil.example\\@api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "a port": ADDRESS.replace(".com/", ".com:8443/"),
        "http": ADDRESS.replace("https", "http"),
        "capitals": ADDRESS.replace("api.sandbox.paypal.com", "API.SANDBOX.PAYPAL.COM"),
        "a dot behind the host": ADDRESS.replace(".com/", ".com./"),
        "a step up": f"{CERTS}../certs/CERT-360caa42-fca2a594-a5cafa77",
        "an escaped step up": f"{CERTS}%2e%2e/certs/CERT-360caa42-fca2a594-a5cafa77",
        "a query": f"{ADDRESS}?a=b",
        "a fragment": f"{ADDRESS}#a",
    }
    for name, address in addresses.items():
        vectors.add(f"an address with {name}", headers(body, CERT_URL=address), body, verdict="signature_mismatch")
    vectors.add("another key", headers(body, OTHER), body, verdict="signature_mismatch")
    vectors.add(
        "another webhook's", good, body, source={"webhook_id": "0AB12345CD678901E"}, verdict="signature_mismatch"
    )
    vectors.add("another transmission", headers(body, TRANSMISSION_ID="x"), body, verdict="signature_mismatch")
    vectors.add("SHA-1", headers(body, AUTH_ALGO="SHA1withRSA"), body, verdict="signature_malformed")
    later = headers(body, TRANSMISSION_TIME="2025-10-09T08:53:21Z")
    vectors.add("another time", later, body, verdict="signature_mismatch")
    seconds = headers(body, TRANSMISSION_TIME=str(NOW))
    vectors.add("a time in seconds", seconds, body, verdict="timestamp_malformed")
    for name, code in (
        ("PAYPAL-TRANSMISSION-ID", "signature_missing"),
        ("PAYPAL-TRANSMISSION-TIME", "timestamp_missing"),
        ("PAYPAL-CERT-URL", "signature_missing"),
    ):
        vectors.add(f"without {name}", _without(good, name), body, verdict=code)
        vectors.add(
            f"two of {name}", [*good.items(), (name, good[name])], body, verdict=code.replace("missing", "malformed")
        )
    vectors.write()


def _without(made: dict[str, str], name: str) -> dict[str, str]:
    return {one: text for one, text in made.items() if one != name}


if __name__ == "__main__":
    main()
