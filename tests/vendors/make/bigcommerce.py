"""BigCommerce: signed by the Standard Webhooks library, with the client secret in base64, as its documentation does."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.vendors.make.macs import compact
from tests.vendors.make.vectors import NOW, Vectors, package

SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
BODY = compact(
    {
        "store_id": "11111",
        "producer": "stores/abcde",
        "scope": "store/order/statusUpdated",
        "data": {"type": "order", "id": 173331},
        "hash": "3f9ea420af83450d7ef9f78b08c8af25b2213637",
        "created_at": NOW - 2,
    }
)
ID = "4d0c1b7e-6a3a-4f0e-8f7e-2f6b1f0a9c11"


def headers(at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    library = Webhook(b64encode(secret.encode()).decode())
    signature = library.sign(ID, datetime.fromtimestamp(at, UTC), BODY.decode())
    return {"webhook-id": ID, "webhook-timestamp": str(at), "webhook-signature": signature}


def main() -> None:
    vectors = Vectors("bigcommerce", made_by=package("standardwebhooks"), secrets=[f"literal:{SECRET}"])
    said: dict[str, Any] = {"ids": [ID], "types": ["store/order/statusUpdated"]}
    vectors.add("an order", headers(), BODY, **said)
    vectors.forge("webhook-signature", tolerance_s=300)
    several = {
        **headers(),
        "webhook-signature": f"{headers(secret='former')['webhook-signature']} " + headers()["webhook-signature"],
    }
    vectors.add("two secrets", several, BODY, **said)
    vectors.add("another id", headers() | {"webhook-id": "another"}, BODY, verdict="signature_mismatch")
    vectors.add("another time", headers() | {"webhook-timestamp": str(NOW + 1)}, BODY, verdict="signature_mismatch")
    without = {name: value for name, value in headers().items() if name != "webhook-id"}
    vectors.add("no id", without, BODY, verdict="id_missing")
    decoded = {"secrets": [f"literal:{b64encode(SECRET.encode()).decode()}"]}
    vectors.add("the secret in base64", headers(), BODY, verdict="signature_mismatch", source=decoded)
    vectors.write()


if __name__ == "__main__":
    main()
