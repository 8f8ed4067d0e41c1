"""Google's own library signs and verifies; PyJWT signs what it would not."""

import json
from typing import Any
from unittest import mock

import jwt as pyjwt
from google.auth import crypt
from google.auth import jwt as google_jwt
from jwt.algorithms import RSAAlgorithm

from tests.vendors.make.made_up_keys import pem, rsa_key
from tests.vendors.make.vectors import NOW, Vectors, fixture, package

KEY, OTHER = rsa_key("google"), rsa_key("somebody else")
KID = "7d680d8c70d44e947133cbd499ebc1a61c3d5abc"
AUDIENCE = "https://hooks.example.com/webhooks/google-pubsub"
ACCOUNT = "push@larkspur-example.iam.gserviceaccount.com"
CLAIMS = {
    "aud": AUDIENCE, "azp": "113774264463038321964", "email": ACCOUNT, "email_verified": True,
    "exp": NOW + 3600, "iat": NOW, "iss": "https://accounts.google.com", "sub": "113774264463038321964",
}  # fmt: skip


def token(key: Any = KEY, kid: str | None = KID, **claims: Any) -> str:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    signer = crypt.RSASigner.from_string(pem(key), kid)
    made: str = google_jwt.encode(signer, said).decode()
    return made


def jwk(key: Any) -> str:
    described = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return json.dumps({**described, "kid": KID, "alg": "RS256", "use": "sig"})


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def main() -> None:
    made_by = f"{package('google-auth')}, google.auth.jwt, and {package('PyJWT')}"
    vectors = Vectors(
        "google-pubsub", made_by, keys={KID: f"literal:{pem(KEY.public_key())}"},
        audience=AUDIENCE, service_account=ACCOUNT,
    )  # fmt: skip
    body = fixture("google-pubsub/OBJECT_FINALIZE")
    ids: Any = {"ids": ["16400881042551233"], "types": ["OBJECT_FINALIZE"]}
    good = token()
    with mock.patch("google.auth._helpers.utcnow", return_value=_at(NOW)):
        google_jwt.decode(good, certs={KID: pem(KEY.public_key())}, audience=AUDIENCE)
    vectors.add("an upload", bearer(good), body, **ids)
    vectors.add("a key as a JWK", bearer(good), body, source={"keys": {KID: f"literal:{jwk(KEY)}"}}, **ids)
    vectors.add("another issuer's name of Google", bearer(token(iss="accounts.google.com")), body, **ids)
    several = {"audience": ["https://elsewhere.example", AUDIENCE], "service_account": ["a@example.com", ACCOUNT]}
    vectors.add("one of several audiences and accounts", bearer(good), body, source=several, **ids)
    vectors.add("an hour-old token", bearer(good), body, at=NOW + 3600, **ids)
    plain = b'{"message":{"data":"aGk=","messageId":"7"},"subscription":"projects/p/subscriptions/s"}'
    vectors.add("without attributes", bearer(good), plain, ids=["7"], types=["unknown"])
    vectors.forge("Authorization", other={"keys": {KID: f"literal:{pem(OTHER.public_key())}"}}, covers_body=False)
    vectors.add("stale", bearer(good), body, at=NOW + 3620, verdict="timestamp_stale")
    vectors.add("of the future", bearer(good), body, at=NOW - 20, verdict="timestamp_future")
    vectors.add("good only later", bearer(token(nbf=NOW + 60)), body, verdict="timestamp_future")
    wrong: dict[str, Any] = {
        "another audience": {"aud": "https://hooks.example.com/webhooks/other"},
        "the audience with a slash": {"aud": f"{AUDIENCE}/"},
        "without an audience": {"aud": ...},
        "another issuer": {"iss": "https://accounts.google.com.example.com"},
        "without an issuer": {"iss": ...},
        "another account": {"email": "push@elsewhere.iam.gserviceaccount.com"},
        "without an account": {"email": ...},
        "an account that is not verified": {"email_verified": False},
        "an account verified by a text": {"email_verified": "true"},
        "without email_verified": {"email_verified": ...},
    }
    for name, claims in wrong.items():
        vectors.add(name, bearer(token(**claims)), body, verdict="signature_mismatch")
    for claim in ("exp", "iat"):
        lacking: Any = {claim: ...}
        vectors.add(f"without {claim}", bearer(token(**lacking)), body, verdict="timestamp_missing")
    forged = {
        "alg none": (pyjwt.encode(CLAIMS, None, "none", {"kid": KID}) + "AA", "signature_malformed"),
        "HS256 with the public key": (_confused(), "signature_malformed"),
        "RS512": (pyjwt.encode(CLAIMS, KEY, "RS512", {"kid": KID}), "signature_malformed"),
        "another key": (token(OTHER), "signature_mismatch"),
        "an unknown kid": (token(kid="0000000000000000000000000000000000000000"), "signature_mismatch"),
        "a key of its own in the header": (_with_own_key(), "signature_mismatch"),
        "crit": (pyjwt.encode(CLAIMS, KEY, "RS256", {"kid": KID, "crit": ["x"], "x": 1}), "signature_malformed"),
    }
    for name, (text, verdict) in forged.items():
        vectors.add(name, bearer(text), body, verdict=verdict)
    vectors.add("without the word Bearer", {"Authorization": good}, body, verdict="signature_malformed")
    vectors.add("Basic", {"Authorization": f"Basic {good}"}, body, verdict="signature_malformed")
    for name in ("audience", "service_account"):
        vectors.add(f"a source without {name}", bearer(good), body, source={name: ()}, verdict="signature_mismatch")
    vectors.write()


def _at(now: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now, UTC).replace(tzinfo=None)


def _confused() -> str:
    import hmac

    head = pyjwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": KID, "typ": "JWT"}).encode()).decode()
    claims = token().split(".")[1]
    mac = hmac.digest(pem(KEY.public_key()).encode(), f"{head}.{claims}".encode(), "sha256")
    return f"{head}.{claims}.{pyjwt.utils.base64url_encode(mac).decode()}"


def _with_own_key() -> str:
    header = {"kid": KID, "jwk": json.loads(jwk(OTHER)), "jku": "https://evil.example/keys"}
    made: str = pyjwt.encode(CLAIMS, OTHER, "RS256", header)
    return made


if __name__ == "__main__":
    main()
