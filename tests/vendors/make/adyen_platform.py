"""Adyen's webhooks for platforms, by its own library, which signs and verifies."""

from Adyen.util import generate_payload_sig, is_valid_hmac_payload

from tests.vendors.make.macs import compact
from tests.vendors.make.vectors import Vectors, by_bytes, package

SECRET = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
OTHER = "54782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
TRANSFER = {"id": "38EBJ15RTR0NN8TW", "status": "received", "amount": {"currency": "EUR", "value": 1000}}


def signed(kind: str, data: object) -> tuple[dict[str, str], bytes]:
    body = compact({"data": data, "environment": "test", "timestamp": "2025-10-09T10:53:16+02:00", "type": kind})
    signature = generate_payload_sig(body, SECRET).decode()
    assert is_valid_hmac_payload(signature, SECRET, body)
    return {"Content-Type": "application/json", "HmacSignature": signature, "Protocol": "HmacSHA256"}, body


def main() -> None:
    vectors = Vectors("adyen-platform", made_by=package("Adyen"), secrets=[f"literal:{SECRET}"])
    created = "balancePlatform.transfer.created"
    vectors.add("a transfer", *signed(created, TRANSFER), ids=["38EBJ15RTR0NN8TW"], types=[created])
    vectors.forge("HmacSignature", other={"secrets": [f"literal:{OTHER}"]})
    updated = "balancePlatform.transfer.updated"
    third = signed(updated, {**TRANSFER, "sequenceNumber": 3})
    vectors.add("an update of it is another event", *third, ids=["38EBJ15RTR0NN8TW.3"], types=[updated])
    holder = signed("balancePlatform.accountHolder.updated", {"accountHolder": {"id": "AH00000000000000000000001"}})
    ids, types = [by_bytes(holder[1])], ["balancePlatform.accountHolder.updated"]
    vectors.add("one without an id", *holder, ids=ids, types=types)
    vectors.write()


if __name__ == "__main__":
    main()
