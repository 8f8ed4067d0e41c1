"""WorkOS's own library verifies; it signs nothing. Its times are milliseconds."""

import hashlib
import hmac

from workos.webhooks._verification import verify_header

from tests.vendors.make.vectors import NOW, Vectors, fixture, package

SECRET = "larkspur_made_up_wh_Jq2Z"
BODY = fixture("workos/user.created")
KNOWN = {"ids": ["event_01K73G2X5M8Q0N4V6B7C9D1E2F"], "types": ["user.created"]}


def signature(at: int = NOW * 1000) -> str:
    return f"t={at}, v1={hmac.digest(SECRET.encode(), b'%d.%b' % (at, BODY), hashlib.sha256).hex()}"


def verify(headers: dict[str, str], body: bytes) -> None:
    verify_header(event_body=body, event_signature=headers["workos-signature"], secret=SECRET)


def main() -> None:
    vectors = Vectors("workos", f"{package('workos')}, webhooks.verify_header", secrets=[f"literal:{SECRET}"])
    vectors.add("a user", {"WorkOS-Signature": signature()}, BODY, **KNOWN)
    vectors.add("between two seconds", {"WorkOS-Signature": signature(NOW * 1000 + 417)}, BODY, **KNOWN)
    vectors.verified_by(verify)
    vectors.forge("WorkOS-Signature", tolerance_s=180)
    good = signature()
    for name, value, code in (
        ("another time", good.replace("t=1", "t=2"), "signature_mismatch"),
        ("without a time", good.partition(", ")[2], "timestamp_missing"),
        ("without a signature", good.partition(", ")[0], "signature_malformed"),
        ("in seconds", signature(NOW), "timestamp_stale"),
    ):
        vectors.add(name, {"WorkOS-Signature": value}, BODY, verdict=code)
    vectors.write()


if __name__ == "__main__":
    main()
