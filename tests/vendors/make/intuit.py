"""Intuit: python-quickbooks verifies what is signed here, in both formats."""

from quickbooks import QuickBooks

from tests.vendors.make.macs import compact, in_base64
from tests.vendors.make.vectors import Vectors, by_bytes, package

SECRET = "3f2a9c1e-7b5d-4c8e-9a0f-1d2e3c4b5a69"


def signed(payload: object) -> tuple[dict[str, str], bytes]:
    body = compact(payload)
    signature = in_base64(SECRET, body)
    assert QuickBooks.validate_webhook_signature(None, body.decode(), signature, SECRET)
    return {"Content-Type": "application/json", "intuit-signature": signature}, body


def cloud_event(id: str, kind: str, entity: str, account: str = "310687") -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": kind,
        "datacontenttype": "application/json",
        "time": "2025-09-10T21:31:25.179851517Z",
        "intuitentityid": entity,
        "intuitaccountid": account,
        "data": {},
    }


def notification(realm: str, *entities: tuple[str, str, str]) -> dict[str, object]:
    changed = [
        {"name": name, "id": id, "operation": operation, "lastUpdated": "2025-09-08T20:52:31.657Z"}
        for name, id, operation in entities
    ]
    return {"realmId": realm, "dataChangeEvent": {"entities": changed}}


def main() -> None:
    vectors = Vectors("intuit", made_by=f"{package('python-quickbooks')} verifies them", secrets=[f"literal:{SECRET}"])
    first = cloud_event("88cd52aa-33b6-4351-9aa4-47572edbd068", "qbo.account.created.v1", "1234")
    second = cloud_event("99cd52aa-33b6-4351-9aa4-47572edbd068-Customer-27", "qbo.customer.updated.v1", "27")
    ids, types = [str(one["id"]) for one in (first, second)], [str(one["type"]) for one in (first, second)]
    vectors.add("two CloudEvents", *signed([first, second]), ids=ids, types=types)
    vectors.forge("intuit-signature")
    vectors.add("one of them again", *signed([second]), ids=ids[1:], types=types[1:])
    mine = notification("310687", ("Account", "1234", "Create"), ("Customer", "27", "Update"))
    others = notification("310688", ("Account", "1234", "Create"))
    ids = [by_bytes(compact(one)) for one in (mine, others)]
    both = {"eventNotifications": [mine, others]}
    vectors.add("the older format: two companies", *signed(both), ids=ids, types=["eventNotifications"] * 2)
    vectors.write()


if __name__ == "__main__":
    main()
