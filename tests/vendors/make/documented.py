"""Vendors without a library that signs or verifies: computed as their documentation, or their own source, does it."""

from tests.vendors.make.macs import compact, escaped, in_base64, in_hex
from tests.vendors.make.vectors import NOW, OTHER_SECRET, Vectors, by_bytes

JSON = {"Content-Type": "application/json"}
OTHER = OTHER_SECRET.removeprefix("literal:")


def vectors_of(preset: str, address: str, *secrets: str) -> Vectors:
    return Vectors(preset, f"documentation, {address}", secrets=[f"literal:{secret}" for secret in secrets])


def sentry() -> Vectors:
    secret = "8c1a3f6f2e0c4e5f9b7d6a5c4b3a2910"
    source = "https://github.com/getsentry/sentry/blob/master/src/sentry/sentry_apps/api/serializers"
    vectors = vectors_of("sentry", f"{source}/app_platform_event.py", secret)
    issue = {"id": "1170820242", "title": "KeyError: 'gäte'", "lastSeen": "2025-10-09T08:53:17.000000Z"}
    body = escaped({"action": "created", "data": {"issue": issue}, "actor": {"type": "application", "id": "sentry"}})
    headers = {
        **JSON,
        "Request-ID": "c1b6f7d4a5e84b0f9f0f6a5f6b0c2d11",
        "Sentry-Hook-Resource": "issue",
        "Sentry-Hook-Timestamp": str(NOW),
        "Sentry-Hook-Signature": in_hex(secret, body),
    }
    ids, types = [headers["Request-ID"]], ["issue.created"]
    vectors.add("an issue", headers, body, ids=ids, types=types)
    vectors.forge("Sentry-Hook-Signature")
    vectors.add("an issue of last year, for its time is not signed", headers, body, at=NOW + 3e7, ids=ids, types=types)
    return vectors


def pagerduty() -> Vectors:
    secret = "VZ1RJxYUJYjXwXs1oZSaxSbzHZnDTg4q"
    address = "https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/04-Signatures.md"
    vectors = vectors_of("pagerduty", address, secret)
    event = {
        "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
        "event_type": "incident.priority_updated",
        "resource_type": "incident",
        "occurred_at": "2020-10-02T18:45:22.169Z",
        "agent": None,
        "data": {"id": "PGR0VU2", "type": "incident", "title": "A little bump in the röad", "number": 2},
    }
    body = compact({"event": event})
    mine, others = f"v1={in_hex(secret, body)}", f"v1={in_hex(OTHER, body)}"
    ids, types = [str(event["id"])], [str(event["event_type"])]

    def headers(*signatures: str) -> dict[str, str]:
        return {**JSON, "X-PagerDuty-Signature": ",".join(signatures)}

    vectors.add("an incident", headers(mine), body, ids=ids, types=types)
    vectors.forge("X-PagerDuty-Signature")
    vectors.add("two secrets, ours first", headers(mine, others), body, ids=ids, types=types)
    vectors.add("two secrets, ours last", headers(others, mine), body, ids=ids, types=types)
    vectors.add("two secrets, neither ours", headers(others, others), body, verdict="signature_mismatch")
    vectors.add("a later version beside it", headers("v2=zz", mine), body, ids=ids, types=types)
    vectors.add("a later version alone", headers("v2=" + "0" * 64), body, verdict="signature_malformed")
    vectors.add("ours and one that is none", headers(mine, "v1=zz"), body, verdict="signature_malformed")
    return vectors


def docusign() -> Vectors:
    secret = "q0ReQpG3ryQqLQuyLx8nWJ7GQPCrmGxUBxzHEUvRHCc="
    vectors = vectors_of("docusign", "https://developers.docusign.com/platform/webhooks/connect/validate", secret)
    envelope, made_at = "4af4ed3c-6f6d-4c8a-a2c2-2d0b0f2e6f3b", "2025-10-09T08:53:16.1234567Z"
    message = {
        "event": "envelope-completed",
        "apiVersion": "v2.1",
        "uri": f"/restapi/v2.1/accounts/1/envelopes/{envelope}",
        "retryCount": 0,
        "configurationId": 10418598,
        "generatedDateTime": made_at,
        "data": {"accountId": "1", "envelopeId": envelope, "envelopeSummary": {"status": "completed"}},
    }
    body = compact(message)
    ids, types = [f"{envelope}:envelope-completed:{made_at}"], ["envelope-completed"]
    mine, others = in_base64(secret, body), in_base64(OTHER, body)

    def headers(*signatures: str) -> dict[str, str]:
        numbered = {f"X-DocuSign-Signature-{number}": value for number, value in enumerate(signatures, 1)}
        return {**JSON, "X-Authorization-Digest": "HMACSHA256", **numbered}

    vectors.add("an envelope", headers(mine), body, ids=ids, types=types)
    vectors.forge("X-DocuSign-Signature-1")
    vectors.add("two keys, ours second", headers(others, mine), body, ids=ids, types=types)
    vectors.add("ten keys, ours last", headers(*[others] * 9, mine), body, ids=ids, types=types)
    vectors.add("two keys, neither ours", headers(others, others), body, verdict="signature_mismatch")
    vectors.add("ours and one that is none", headers(mine, "nonsense"), body, verdict="signature_malformed")
    doubled = [*headers(mine).items(), *headers(others, mine).items()]
    vectors.add("a numbered one twice", doubled, body, verdict="signature_malformed")
    again = compact({**message, "retryCount": 1})
    vectors.add("the envelope, tried again", headers(in_base64(secret, again)), again, ids=ids, types=types)
    xml = b"<DocuSignEnvelopeInformation/>"
    signed = {**headers(in_base64(secret, xml)), "Content-Type": "text/xml"}
    vectors.add("the old XML", signed, xml, ids=[by_bytes(xml)], types=["unknown"])
    return vectors


def dropbox() -> Vectors:
    secret = "yk8s6d3o0n4q2w1"
    vectors = vectors_of("dropbox", "https://github.com/dropbox/mdwebhook/blob/master/app.py", secret)
    first, second = "dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc", "dbid:AAGx2LmQ0taONIb-OurWxbNQ6ywGRopQngd"
    body = b'{"list_folder": {"accounts": ["%b", "%b"]}, "delta": {"users": [1, 2]}}' % (
        first.encode(),
        second.encode(),
    )
    ids = [by_bytes(compact(account)) for account in (first, second)]
    headers = {**JSON, "User-Agent": "DropboxWebhooks/1.0", "X-Dropbox-Signature": in_hex(secret, body)}
    vectors.add("two accounts", headers, body, ids=ids, types=["list_folder"] * 2)
    vectors.forge("X-Dropbox-Signature")
    one = b'{"list_folder": {"accounts": ["%b"]}, "delta": {"users": [2]}}' % second.encode()
    headers = {**JSON, "X-Dropbox-Signature": in_hex(secret, one)}
    vectors.add("one of them, which is no other event", headers, one, ids=ids[1:], types=["list_folder"])
    return vectors


def asana() -> Vectors:
    secret, newer = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81", "1" * 64
    vectors = vectors_of("asana", "https://developers.asana.com/docs/webhooks-guide", newer, secret)
    events = [
        {
            "user": {"gid": "1123", "resource_type": "user"},
            "created_at": "2025-10-09T08:53:16.123Z",
            "action": action,
            "resource": {"gid": gid, "resource_type": kind},
            "parent": None,
        }
        for gid, kind, action in (("7001", "task", "added"), ("8002", "story", "added"), ("7001", "task", "changed"))
    ]
    body = compact({"events": events})
    headers = {**JSON, "X-Hook-Signature": in_hex(secret, body)}
    ids, types = [by_bytes(compact(event)) for event in events], ["task.added", "story.added", "task.changed"]
    vectors.add("three events", headers, body, ids=ids, types=types)
    vectors.forge("X-Hook-Signature")
    some = compact({"events": events[1:]})
    headers = {**JSON, "X-Hook-Signature": in_hex(newer, some)}
    vectors.add("two of them, from another webhook", headers, some, ids=ids[1:], types=types[1:])
    heartbeat = b'{"events":[]}'
    vectors.add("a heartbeat", JSON | {"X-Hook-Signature": in_hex(secret, heartbeat)}, heartbeat)
    return vectors


def calendly() -> Vectors:
    secret = "5mEzn9C-I28UtwOjZJtFoob0sAAFZ95GbZkqj4y3i0I"
    address = "https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures"
    vectors = vectors_of("calendly", address, secret)
    uri = "https://api.calendly.com/scheduled_events/8d6b4b7e/invitees/4f1e2d3c"
    payload = {"uri": uri, "name": "Zoë Möller", "status": "active", "rescheduled": False}
    body = compact({"created_at": "2025-10-09T08:53:16.000000Z", "event": "invitee.created", "payload": payload})
    name, value = "Calendly-Webhook-Signature", f"t={NOW},v1={in_hex(secret, b'%d.%b' % (NOW, body))}"
    ids, types = [by_bytes(body)], ["invitee.created"]
    vectors.add("a booking", JSON | {name: value}, body, ids=ids, types=types)
    vectors.forge(name, tolerance_s=180)
    moved = value.replace(f"t={NOW}", f"t={NOW + 60}")
    vectors.add("another time than signed", {name: moved}, body, verdict="signature_mismatch")
    vectors.add("two times", {name: f"{value},t={NOW}"}, body, verdict="timestamp_malformed")
    vectors.add("no time", {name: value.partition(",")[2]}, body, verdict="timestamp_missing")
    vectors.add("two signatures", {name: value.replace(",", f",v1={'0' * 64},")}, body, ids=ids, types=types)
    return vectors


def typeform() -> Vectors:
    secret = "d51e34a8bd0a4d9ab8d0f8a9d5a9c1c8f0f9e7b6"
    vectors = vectors_of("typeform", "https://www.typeform.com/developers/webhooks/secure-your-webhooks/", secret)
    response = {"form_id": "lT4Z3j", "token": "a3a12ec6", "submitted_at": "2025-10-09T08:53:16Z", "answers": []}
    body = compact({"event_id": "LtWXD3crgy", "event_type": "form_response", "form_response": response})
    headers = {**JSON, "Typeform-Signature": f"sha256={in_base64(secret, body)}"}
    vectors.add("a response", headers, body, ids=["LtWXD3crgy"], types=["form_response"])
    vectors.forge("Typeform-Signature")
    in_other_words = {**JSON, "Typeform-Signature": f"sha256={in_hex(secret, body)}"}
    vectors.add("in hex", in_other_words, body, verdict="signature_malformed")
    return vectors


def woocommerce() -> Vectors:
    secret = "cs_gate & <mill>"
    source = "https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/class-wc-webhook.php"
    vectors = vectors_of("woocommerce", source, secret)
    body = (
        rb'{"id":727,"status":"processing","total":"29.35","_links":{"self":[{"href":"https:\/\/shop.example.com"}]}}'
    )
    headers = {
        **JSON,
        "X-WC-Webhook-Source": "https://shop.example.com/",
        "X-WC-Webhook-Topic": "order.updated",
        "X-WC-Webhook-Resource": "order",
        "X-WC-Webhook-Event": "updated",
        "X-WC-Webhook-Signature": in_base64(secret, body),
        "X-WC-Webhook-ID": "9",
        "X-WC-Webhook-Delivery-ID": "0b1cb7a0a3bb1e2b6e5f2d9ef0a54f0c",
    }
    vectors.add("an order", headers, body, ids=[headers["X-WC-Webhook-Delivery-ID"]], types=["order.updated"])
    vectors.forge("X-WC-Webhook-Signature")
    return vectors


def xero() -> Vectors:
    secret = "OSd0eLlVIY9ZhViEqlDUh4+6n6M+Lo+eDaEJheJ6OCCgWwIz2D3JIAU6jPMipHRbgKTLz2uJ+xiACXGDBLrgdA=="
    address = "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/"
    vectors = vectors_of("xero", address, secret)
    events = [
        {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/{kind}s/{resource}",
            "resourceId": resource,
            "tenantId": "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f",
            "tenantType": "ORGANISATION",
            "eventCategory": kind.upper(),
            "eventType": what,
            "eventDateUtc": "2025-10-09T08:53:15.902",
        }
        for kind, resource, what in (("Contact", "717f2bfc", "CREATE"), ("Invoice", "a1b2c3d4", "UPDATE"))
    ]
    ids, types = [by_bytes(compact(event)) for event in events], ["CONTACT.CREATE", "INVOICE.UPDATE"]

    def signed(payload: object) -> tuple[dict[str, str], bytes]:
        body = compact(payload)
        return {**JSON, "x-xero-signature": in_base64(secret, body)}, body

    both = {"events": events, "firstEventSequence": 1, "lastEventSequence": 2, "entropy": "S0m3r4Nd0mt3xt"}
    vectors.add("two events", *signed(both), ids=ids, types=types)
    vectors.forge("x-xero-signature")
    again = {"events": events[1:], "firstEventSequence": 2, "lastEventSequence": 2, "entropy": "0th3r"}
    vectors.add("one of them again", *signed(again), ids=ids[1:], types=types[1:])
    intent = {"events": [], "firstEventSequence": 0, "lastEventSequence": 0, "entropy": "S0m3r4Nd0mt3xt"}
    vectors.add("an intent to receive", *signed(intent))
    wrong = {**JSON, "x-xero-signature": in_base64(OTHER, compact(intent))}
    vectors.add("an intent, wrong on purpose", wrong, compact(intent), verdict="signature_mismatch")
    return vectors


if __name__ == "__main__":
    for vendor in (sentry, pagerduty, docusign, dropbox, asana, calendly, typeform, woocommerce, xero):
        vendor().write()
