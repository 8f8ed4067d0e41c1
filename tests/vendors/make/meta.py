"""Meta: pywa verifies what is signed here."""

from collections.abc import Mapping

from pywa.utils import webhook_updates_validator

from tests.vendors.make.macs import compact, escaped, in_hex
from tests.vendors.make.vectors import NOW, Vectors, by_bytes, package

SECRET = "b1c4e8d0f3a2695847c6d5e4f3a2b1c0"


def signed(object: str, *entries: Mapping[str, object]) -> tuple[dict[str, str], bytes]:
    body = escaped({"object": object, "entry": [{"id": "102290129340398", "time": NOW, **entry} for entry in entries]})
    signature = f"sha256={in_hex(SECRET, body)}"
    assert webhook_updates_validator(SECRET, body, signature)
    return {"Content-Type": "application/json", "X-Hub-Signature-256": signature}, body


def whatsapp(**value: object) -> dict[str, object]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    return {"value": {"messaging_product": "whatsapp", "metadata": metadata, **value}, "field": "messages"}


def text(id: str) -> dict[str, object]:
    return {"from": "16505551234", "id": id, "timestamp": str(NOW - 4), "type": "text", "text": {"body": "Grüezi 🐑"}}


def status(id: str, name: str) -> dict[str, object]:
    return {"id": id, "status": name, "timestamp": str(NOW - 3), "recipient_id": "16505551234"}


def messenger(**said: object) -> dict[str, object]:
    return {"sender": {"id": "7001"}, "recipient": {"id": "8002"}, "timestamp": (NOW - 2) * 1000, **said}


def main() -> None:
    vectors = Vectors("meta", made_by=f"{package('pywa')} verifies them", secrets=[f"literal:{SECRET}"])
    one, two = whatsapp(messages=[text("wamid.A1==")]), whatsapp(statuses=[status("wamid.B2==", "delivered")])
    batch = signed("whatsapp_business_account", {"changes": [one]}, {"changes": [two]})
    kind = "whatsapp_business_account.messages"
    vectors.add("a message and a status", *batch, ids=["wamid.A1==", "wamid.B2==:delivered"], types=[kind] * 2)
    vectors.forge("X-Hub-Signature-256")
    read = signed("whatsapp_business_account", {"changes": [one, whatsapp(statuses=[status("wamid.B2==", "read")])]})
    ids = ["wamid.A1==", "wamid.B2==:read"]
    vectors.add("the message again, and the next status", *read, ids=ids, types=[kind] * 2)
    three = whatsapp(messages=[text(f"wamid.{name}") for name in "CDE"])
    both = signed("whatsapp_business_account", {"changes": [three]})
    vectors.add("three messages in one change", *both, ids=["wamid.C.wamid.D.wamid.E"], types=[kind])
    said, gone = messenger(message={"mid": "m_1", "text": "hi"}), messenger(message={"mid": "m_1", "is_deleted": True})
    typing = messenger(read={"watermark": NOW * 1000})
    talk = signed("instagram", {"messaging": [said, gone, typing]})
    ids = ["m_1", "m_1.true", by_bytes(compact(typing))]
    vectors.add("messages of Instagram", *talk, ids=ids, types=["instagram"] * 3)
    photo = {"field": "photos", "value": {"verb": "update", "object_id": "10211885744794461"}}
    vectors.add(
        "a change", *signed("user", {"changes": [photo]}), ids=[by_bytes(compact(photo))], types=["user.photos"]
    )
    fields = {"changed_fields": ["photos"], "uid": "10210299214172187"}
    vectors.add("names of fields only", *(only := signed("user", fields)), ids=[_entry_id(only[1])], types=["user"])
    vectors.write()


def _entry_id(body: bytes) -> str:
    """An entry in which nothing of what is known changed is an event itself."""
    return by_bytes(body[body.index(b"[") + 1 : -2])


if __name__ == "__main__":
    main()
