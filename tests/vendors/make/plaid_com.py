"""PyJWT signs as Plaid's documentation describes; Plaid has no library that signs or verifies."""

import json
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.vendors.make.made_up_keys import ec_key, pem
from tests.vendors.make.vectors import NOW, Vectors, by_bytes, fixture, package

KEY, OTHER = ec_key("plaid"), ec_key("somebody else")
KID = "bfbd5111-8e33-4643-8ced-b2e642a72f3c"
HEADER = "Plaid-Verification"


@ec.EllipticCurvePrivateKey.register
class Deterministic:
    """The key that PyJWT signs with, without chance."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.curve = key.curve

    def sign(self, data: bytes, algorithm: Any) -> Any:
        return self.key.sign(data, ec.ECDSA(algorithm.algorithm, deterministic_signing=True))


def jwk(key: Any, **more: Any) -> str:
    described = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    return json.dumps({"alg": "ES256", "kid": KID, "use": "sig", **described, **more})


def token(body: bytes, key: Any = KEY, alg: str = "ES256", kid: str | None = KID, **claims: Any) -> str:
    said = {"iat": NOW, "request_body_sha256": sha256(body).hexdigest(), **claims}
    signer = Deterministic(key) if hasattr(key, "curve") else key
    kept = {name: value for name, value in said.items() if value is not ...}
    made: str = jwt.encode(kept, signer, alg, {"kid": kid} if kid else {})
    return made


def main() -> None:
    made_by = f"{package('PyJWT')}, after https://plaid.com/docs/api/webhooks/webhook-verification/"
    vectors = Vectors("plaid", made_by, keys={KID: f"literal:{jwk(KEY)}"})
    body = fixture("plaid/TRANSACTIONS.SYNC_UPDATES_AVAILABLE")
    ids: Any = {"ids": [by_bytes(body)], "types": ["TRANSACTIONS.SYNC_UPDATES_AVAILABLE"]}
    vectors.add("new transactions", {HEADER: token(body)}, body, **ids)
    for name, text in (
        ("a key in PEM", pem(KEY.public_key())),
        ("a key as the API answers it", json.dumps({"key": json.loads(jwk(KEY, expired_at=None)), "request_id": "x"})),
        ("a key that ends later", jwk(KEY, expired_at=NOW + 60)),
    ):
        vectors.add(name, {HEADER: token(body)}, body, source={"keys": {KID: f"literal:{text}"}}, **ids)
    vectors.forge(HEADER, tolerance_s=300, other={"keys": {KID: f"literal:{jwk(OTHER)}"}})
    ended = {"keys": {KID: f"literal:{jwk(KEY, expired_at=NOW - 60)}"}}
    vectors.add("a key that has ended", {HEADER: token(body)}, body, source=ended, verdict="signature_mismatch")
    public = pem(KEY.public_key()).encode()
    forged = {
        "alg none": (jwt.encode({"iat": NOW}, None, "none", {"kid": KID}) + "AA", "signature_malformed"),
        "alg none without a signature": (jwt.encode({"iat": NOW}, None, "none", {"kid": KID}), "signature_malformed"),
        "HS256 with the public key": (_confused(body, public), "signature_malformed"),
        "another key": (token(body, OTHER), "signature_mismatch"),
        "an unknown kid": (token(body, kid="11111111-2222-3333-4444-555555555555"), "signature_mismatch"),
        "without a kid": (token(body, kid=None), "signature_mismatch"),
        "of another body": (token(b"{}"), "signature_mismatch"),
        "without a hash": (token(body, request_body_sha256=...), "signature_mismatch"),
        "a hash that is no text": (token(body, request_body_sha256=7), "signature_mismatch"),
        "without iat": (token(body, iat=...), "timestamp_missing"),
        "iat as a text": (_with_claims(body, iat=str(NOW)), "timestamp_malformed"),
        "iat true": (_with_claims(body, iat=True), "timestamp_malformed"),
        "two parts": (token(body).rpartition(".")[0], "signature_malformed"),
        "four parts": (token(body) + ".AA", "signature_malformed"),
        "padding": (token(body) + "==", "signature_malformed"),
        "a JSON header that is a list": ("W10." + token(body).partition(".")[2], "signature_malformed"),
    }
    for name, (text, verdict) in forged.items():
        vectors.add(name, {HEADER: text}, body, verdict=verdict)
    vectors.write()


def _with_claims(body: bytes, **claims: Any) -> str:
    """What PyJWT itself refuses to sign."""
    content = {"iat": NOW, "request_body_sha256": sha256(body).hexdigest(), **claims}
    made: str = jwt.api_jws.encode(json.dumps(content).encode(), Deterministic(KEY), "ES256", {"kid": KID})
    return made


def _confused(body: bytes, public: bytes) -> str:
    """PyJWT refuses this confusion too, so it is made by hand."""
    import hmac

    head, claims, _ = token(body).split(".")
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": KID, "typ": "JWT"}).encode()).decode()
    mac = hmac.digest(public, f"{head}.{claims}".encode(), "sha256")
    return f"{head}.{claims}.{jwt.utils.base64url_encode(mac).decode()}"


if __name__ == "__main__":
    main()
