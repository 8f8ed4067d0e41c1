"""Vendors that sign nothing and send a secret along: the bodies are their libraries' or their documentation's."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure.core.messaging import CloudEvent as AzureCloudEvent
from azure.core.serialization import AzureJSONEncoder
from azure.eventgrid import EventGridEvent
from azure.eventgrid._serialization import Serializer
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from telegram import Chat, Message, Update
from telegram.ext._utils.webhookhandler import TelegramHandler

from tests.vendors.make.macs import compact
from tests.vendors.make.vectors import NOW, Vectors, by_bytes, package

JSON = {"Content-Type": "application/json"}
TOKEN = "0mill-gate_TOKEN-7f3a9c"
AT = datetime.fromtimestamp(NOW - 5, UTC)


def of_token(preset: str, made_by: str) -> Vectors:
    return Vectors(preset, made_by=made_by, secrets=[f"literal:{TOKEN}"])


def forge(vectors: Vectors, header: str) -> None:
    """A token has no form of its own, so what is wrong fits no key; and it vouches for no body."""
    wrong = (
        *("malformed_signature", "signature_with_a_byte_beyond_ASCII"),
        *("signature_with_bytes_that_are_no_UTF-8", "signature_with_a_byte_less"),
    )
    codes: dict[str, Any] = dict.fromkeys(wrong, "signature_mismatch")
    vectors.forge(header, covers_body=False, **codes)


def in_authorization(vectors: Vectors, body: bytes, **said: Any) -> None:
    """The same token as its vendor may have been told to send it."""
    basic = b64encode(f"postern:{TOKEN}".encode()).decode()
    user = {"secrets": [f"literal:postern:{TOKEN}"]}
    vectors.add("behind Bearer", JSON | {"Authorization": f"Bearer {TOKEN}"}, body, **said)
    vectors.add("behind Basic", JSON | {"Authorization": f"Basic {basic}"}, body, source=user, **said)
    whole = {"secrets": [f"literal:Bearer {TOKEN}"]}
    vectors.add("Bearer in the secret", JSON | {"Authorization": f"Bearer {TOKEN}"}, body, source=whole, **said)
    vectors.add("Bearer and nothing", JSON | {"Authorization": "Bearer "}, body, verdict="signature_mismatch")
    vectors.add("Basic and no base64", JSON | {"Authorization": "Basic é"}, body, verdict="signature_mismatch")
    long = {**JSON, "Authorization": "x" * 5000}
    vectors.add("a very long one", long, body, verdict="signature_malformed")


def telegram() -> Vectors:
    vectors = of_token("telegram", f"{package('python-telegram-bot')} writes the updates and checks the header")
    message = Message(1365, AT, Chat(1111, Chat.PRIVATE), text="Grüezi 🐑")
    name = "X-Telegram-Bot-Api-Secret-Token"

    def sent(number: int, **what: Any) -> tuple[dict[str, str], bytes]:
        headers = {**JSON, name: TOKEN}
        handler = SimpleNamespace(request=SimpleNamespace(headers=headers), secret_token=TOKEN)
        TelegramHandler._validate_post(handler)  # raises where the header is wrong
        return headers, Update(number, **what).to_json().encode()

    vectors.add("a message", *sent(10000, message=message), ids=["10000"], types=["message"])
    forge(vectors, name)
    vectors.add("an edit of it", *sent(10001, edited_message=message), ids=["10001"], types=["edited_message"])
    in_another = {**JSON, "Authorization": TOKEN}
    vectors.add("in another header", in_another, sent(1, message=message)[1], verdict="signature_missing")
    return vectors


def microsoft_graph() -> Vectors:
    vectors = of_token(
        "microsoft-graph",
        "documentation example, https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
    )
    first = {
        "id": "lsgTZMr9KwAAA",
        "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
        "subscriptionExpirationDateTime": "2025-10-12T22:11:09.952Z",
        "clientState": TOKEN,
        "changeType": "created",
        "resource": "users/8be5/messages/AAMk",
        "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.etag": 'W/"CQAAABYAAADk"', "id": "AAMk"},
    }
    lifecycle = {"subscriptionId": first["subscriptionId"], "clientState": TOKEN, "lifecycleEvent": "missed"}

    def sent(*notifications: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        return JSON, compact({"value": notifications})

    ids, types = ["lsgTZMr9KwAAA", by_bytes(compact(lifecycle))], ["created", "missed"]
    vectors.add("two notifications", *sent(first, lifecycle), ids=ids, types=types)
    other = {"secrets": ["literal:another"]}
    vectors.add("other secret", *sent(first, lifecycle), verdict="signature_mismatch", source=other)
    wrong, none = {**first, "clientState": "guessed"}, {k: v for k, v in first.items() if k != "clientState"}
    vectors.add("the second is wrong", *sent(first, wrong), verdict="signature_mismatch")
    vectors.add("the first is wrong", *sent(wrong, first), verdict="signature_mismatch")
    vectors.add("the second has none", *sent(first, none), verdict="signature_missing")
    vectors.add("the second is no object", JSON, compact({"value": [first, None]}), verdict="signature_missing")
    for odd in (None, "", 7, True, [TOKEN], {"clientState": TOKEN}):
        code = (
            "signature_missing"
            if odd is None
            else "signature_mismatch"
            if odd == 7 and odd is not True
            else "signature_malformed"
        )
        vectors.add(f"a clientState of {odd!r}", *sent(first | {"clientState": odd}), verdict=code)
    vectors.add("one beyond ASCII", *sent(first | {"clientState": TOKEN[:-1] + "é"}), verdict="signature_mismatch")
    vectors.add("none at all", *sent(), verdict="signature_missing")
    vectors.add(
        "at the top instead", JSON, compact({"value": [none], "clientState": TOKEN}), verdict="signature_missing"
    )
    vectors.add("no JSON", JSON, b"value=1", verdict="signature_missing")
    rotated = {"secrets": ["literal:newer", f"literal:{TOKEN}"]}
    both = sent(first, {**lifecycle, "clientState": "newer"})
    ids = ["lsgTZMr9KwAAA", by_bytes(compact({**lifecycle, "clientState": "newer"}))]
    vectors.add("one of each live secret", *both, ids=ids, types=types, source=rotated)
    return vectors


def azure_eventgrid() -> Vectors:
    vectors = of_token("azure-eventgrid", f"{package('azure-eventgrid')} writes both schemas")
    blob, kind = {"api": "PutBlob", "url": "https://mill.blob.core.windows.net/käse"}, "Microsoft.Storage.BlobCreated"
    topic = "/subscriptions/0/resourceGroups/mill/providers/Microsoft.Storage/storageAccounts/mill"

    def event(id: str) -> dict[str, Any]:
        made = EventGridEvent("/blobServices/default", kind, blob, "1", id=id, event_time=AT, topic=topic)
        return dict(Serializer().body(made, "EventGridEvent"))

    def cloud(id: str) -> dict[str, Any]:
        made = AzureCloudEvent(topic, kind, data=blob, id=id, time=AT)
        names = ("id", "source", "type", "specversion", "data")
        return {"time": AzureJSONEncoder().default(made.time), **{name: getattr(made, name) for name in names}}

    two = compact([event("93902694-901e-008f-6f95-7153a806873c"), event("93902694-901e-008f-6f95-7153a806873d")])
    said: dict[str, Any] = {
        "ids": ["93902694-901e-008f-6f95-7153a806873c", "93902694-901e-008f-6f95-7153a806873d"],
        "types": [kind] * 2,
    }
    headers = {**JSON, "aeg-event-type": "Notification", "aeg-subscription-name": "POSTERN", "Authorization": TOKEN}
    vectors.add("two of its own schema", headers, two, **said)
    forge(vectors, "Authorization")
    in_authorization(vectors, two, **said)
    plain = {**JSON, "aeg-event-type": "Notification"}
    vectors.add("the secret in the query", plain, two, query=f"x=1&code={TOKEN}", **said)
    vectors.add("a wrong one in the query", plain, two, query="code=guessed", verdict="signature_mismatch")
    vectors.add("an empty one in the query", plain, two, query="code=", verdict="signature_malformed")
    single = {"Content-Type": "application/cloudevents+json; charset=utf-8", "Authorization": TOKEN}
    vectors.add("a CloudEvent", single, compact(cloud("831e1650-001e")), ids=["831e1650-001e"], types=[kind])
    batch = {**single, "Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
    both = compact([cloud("831e1650-001e"), cloud("831e1650-001f")])
    vectors.add("two CloudEvents", batch, both, ids=["831e1650-001e", "831e1650-001f"], types=[kind] * 2)
    own = {"signature": "header:X-Mill-Secret"}
    vectors.add("a header of one's own", plain | {"X-Mill-Secret": TOKEN}, two, source=own, **said)
    return vectors


def cloudevents() -> Vectors:
    vectors = of_token("cloudevents", f"{package('cloudevents')} writes all three modes")

    def event(id: str, data: Any) -> CloudEvent:
        about = {
            "id": id,
            "source": "/mill/gate",
            "type": "mill.gate.opened",
            "time": AT,
            "datacontenttype": JSON["Content-Type"],
        }
        return CloudEvent({**about, "specversion": "1.0"}, data)

    types, bearer = ["mill.gate.opened"], {"Authorization": f"Bearer {TOKEN}"}
    binary = to_binary_event(event("A234-1234-1234", {"width": 3, "name": "Tür"}))
    said: dict[str, Any] = {"ids": ["A234-1234-1234:/mill/gate"], "types": types}
    vectors.add("binary", binary.headers | {"authorization": TOKEN}, _bytes(binary.body), **said)
    forge(vectors, "authorization")
    in_authorization(vectors, b"{}", ids=[by_bytes(b"{}")], types=["unknown"])
    token = f"access_token={TOKEN}"
    vectors.add("the token in the query", binary.headers, _bytes(binary.body), query=token, **said)
    lists = to_binary_event(event("A234-1234-1235", [1, 2, 3]))
    ids = ["A234-1234-1235:/mill/gate"]
    vectors.add("binary, whose data is a list", lists.headers | {**bearer}, _bytes(lists.body), ids=ids, types=types)
    structured = to_structured_event(event("A234-1234-1234", {"width": 3, "name": "Tür"}))
    vectors.add("structured", structured.headers | {**bearer}, _bytes(structured.body), **said)
    several = [to_structured_event(event(f"C234-{number}", {"width": number})) for number in (1, 2)]
    batch = b"[" + b",".join(_bytes(one.body) for one in several) + b"]"
    headers = {"Content-Type": "application/cloudevents-batch+json; charset=UTF-8", **bearer}
    ids = ["C234-1:/mill/gate", "C234-2:/mill/gate"]
    vectors.add("batched", headers, batch, ids=ids, types=types * 2)
    return vectors


def okta() -> Vectors:
    vectors = of_token("okta", "documentation example, https://developer.okta.com/docs/concepts/event-hooks/")
    events = [
        {"uuid": uuid, "published": "2025-10-09T08:53:07.777Z", "eventType": kind, "displayMessage": "Zoë"}
        for uuid, kind in (
            ("f790999f-fe87-467a-9880-6982a583986c", "user.session.start"),
            ("a1-2", "user.lifecycle.create"),
        )
    ]
    hook = {"eventType": "com.okta.event_hook", "eventId": "b5a188b9-5ece-4636-b041-482ffda96311"}
    body = compact({**hook, "data": {"events": events}})
    said: dict[str, Any] = {"ids": [one["uuid"] for one in events], "types": [one["eventType"] for one in events]}
    vectors.add("two events", JSON | {"Authorization": TOKEN}, body, **said)
    forge(vectors, "Authorization")
    in_authorization(vectors, body, **said)
    return vectors


def auth0() -> Vectors:
    vectors = of_token(
        "auth0-logstream", "documentation, https://auth0.com/docs/customize/log-streams/custom-log-streams"
    )
    logs = [
        {
            "log_id": f"9002025100908531600000000000000000000000{number}",
            "data": {"type": kind, "date": "2025-10-09T08:53:16.000Z"},
        }
        for number, kind in enumerate(("s", "fp", "slo"))
    ]
    said: dict[str, Any] = {"ids": [one["log_id"] for one in logs], "types": ["s", "fp", "slo"]}
    body, headers = compact(logs), {**JSON, "Authorization": TOKEN}
    vectors.add("an array", headers, body, **said)
    forge(vectors, "Authorization")
    in_authorization(vectors, body, **said)
    vectors.add("an object", headers, compact({"logs": logs}), **said)
    lines = b"\n".join(compact(one) for one in logs)
    vectors.add("lines", headers, lines, **said)
    vectors.add("lines with an end", headers, lines + b"\n", **said)
    vectors.add("one line", headers, compact(logs[0]), ids=said["ids"][:1], types=["s"])
    broken = lines[:-3]
    vectors.add("lines of which one is broken", headers, broken, ids=[by_bytes(broken)], types=["unknown"])
    return vectors


def datadog() -> Vectors:
    vectors = of_token("datadog", "documentation example, https://docs.datadoghq.com/integrations/webhooks/")
    payload = {
        "body": "%%%\nCPU is high on @gäte\n%%%",
        "last_updated": str((NOW - 2) * 1000),
        "event_type": "query_alert_monitor",
        "title": "[Triggered] CPU",
        "date": str((NOW - 3) * 1000),
        "org": {"id": "11023", "name": "mill"},
        "id": "2613035672216391172",
    }
    body = compact(payload)
    said: dict[str, Any] = {"ids": ["2613035672216391172"], "types": ["query_alert_monitor"]}
    vectors.add("an alert", JSON | {"Authorization": TOKEN}, body, **said)
    forge(vectors, "Authorization")
    in_authorization(vectors, body, **said)
    own = {"signature": "header:X-Mill-Secret"}
    vectors.add("a header of one's own", JSON | {"X-Mill-Secret": TOKEN}, body, source=own, **said)
    return vectors


def _bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


if __name__ == "__main__":
    for vendor in (telegram, microsoft_graph, azure_eventgrid, cloudevents, okta, auth0, datadog):
        vendor().write()
