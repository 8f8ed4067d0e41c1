"""Stripe's own library signs and verifies."""

import stripe

from tests.vendors.make.vectors import NOW, Vectors, fixture, package

SECRET = "whsec_larkspur_made_up_4f1c9a"
OTHER = "whsec_larkspur_made_up_older"
BODY = fixture("stripe/payment_intent.succeeded")
KNOWN = {"ids": ["evt_3PosternaOj129uo0MtPv9Av"], "types": ["payment_intent.succeeded"]}


def signature(secret: str = SECRET) -> str:
    made: str = stripe.WebhookSignature.generate_signature_header(BODY.decode(), secret, timestamp=NOW)
    return made


def verify(headers: dict[str, str], body: bytes) -> None:
    stripe.Webhook.construct_event(body, headers["stripe-signature"], SECRET)


def main() -> None:
    made_by = f"{package('stripe')}, WebhookSignature.generate_signature_header"
    vectors = Vectors("stripe", made_by, secrets=[f"literal:{SECRET}"])
    good = signature()
    v1 = good.partition(",")[2]
    vectors.add("a payment", {"Stripe-Signature": good}, BODY, **KNOWN)
    vectors.add("two secrets during a rotation", {"Stripe-Signature": f"{signature(OTHER)},{v1}"}, BODY, **KNOWN)
    vectors.add("with a v0, which is skipped", {"Stripe-Signature": f"{good},v0={'0' * 64}"}, BODY, **KNOWN)
    vectors.verified_by(verify)
    vectors.forge("Stripe-Signature", tolerance_s=300)
    for name, value, code in (
        ("v0 only", good.replace("v1=", "v0="), "signature_malformed"),
        ("without a time", v1, "timestamp_missing"),
        ("two times", f"t={NOW},{good}", "timestamp_malformed"),
        ("another time", f"t={NOW + 1},{v1}", "signature_mismatch"),
        ("a time in other digits", f"t=１７,{v1}".encode().decode("latin-1"), "timestamp_malformed"),
    ):
        vectors.add(name, {"Stripe-Signature": value}, BODY, verdict=code)
    vectors.write()


if __name__ == "__main__":
    main()
