"""Paddle's own library verifies; it signs nothing."""

from types import SimpleNamespace

from paddle_billing.Notifications import Secret, Verifier
from paddle_billing.Notifications.PaddleSignature import PaddleSignature

from tests.vendors.make.vectors import NOW, Vectors, fixture, package

SECRET = "pdl_ntfset_larkspur_made_up"
BODY = fixture("paddle/transaction.completed")
KNOWN = {"ids": ["evt_01k73g2wqv5s2m9z7h4x8c1b3d"], "types": ["transaction.completed"]}


def h1(secret: str = SECRET) -> str:
    made: str = PaddleSignature.calculate_hmac(secret, b"%d:%b" % (NOW, BODY)).hexdigest()
    return made


def verify(headers: dict[str, str], body: bytes) -> object:
    request = SimpleNamespace(headers={"Paddle-Signature": headers["paddle-signature"]}, body=body)
    return Verifier().verify(request, Secret(SECRET))


def main() -> None:
    made_by = f"{package('paddle-python-sdk')}, PaddleSignature.calculate_hmac"
    vectors = Vectors("paddle", made_by, secrets=[f"literal:{SECRET}"])
    vectors.add("a transaction", {"Paddle-Signature": f"ts={NOW};h1={h1()}"}, BODY, **KNOWN)
    rotated = f"ts={NOW};h1={h1('another secret')};h1={h1()}"
    vectors.add("two secrets during a rotation", {"Paddle-Signature": rotated}, BODY, **KNOWN)
    vectors.verified_by(verify)
    vectors.forge("Paddle-Signature", tolerance_s=5)
    for name, value, code in (
        ("another time", f"ts={NOW + 1};h1={h1()}", "signature_mismatch"),
        ("without a time", f"h1={h1()}", "timestamp_missing"),
        ("two times", f"ts={NOW};ts={NOW};h1={h1()}", "timestamp_malformed"),
        ("a time with an underscore", f"ts=1_760_000_000;h1={h1()}", "timestamp_malformed"),
    ):
        vectors.add(name, {"Paddle-Signature": value}, BODY, verdict=code)
    vectors.write()


if __name__ == "__main__":
    main()
