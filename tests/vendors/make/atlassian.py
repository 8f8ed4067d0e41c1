"""Jira and Bitbucket, whose documentation gives one value to test with: GitHub's "Hello World!"."""

from tests.vendors.make.macs import compact, in_hex
from tests.vendors.make.vectors import NOW, Vectors

SECRET = "It's a Secret to Everybody"
PUBLISHED = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
HELLO = b"Hello World!"
ISSUE = {
    "timestamp": (NOW - 3) * 1000,
    "webhookEvent": "jira:issue_updated",
    "issue_event_type_name": "issue_generic",
    "user": {"accountId": "99:27935d01-92a7-4687-8272-a9b8d3b2ae2e", "displayName": "Zoë Möller"},
    "issue": {"id": "99291", "key": "JRA-20002", "fields": {"summary": "The bell rings twice ✓", "labels": ["UI"]}},
    "changelog": {"id": "10124", "items": [{"field": "summary", "fromString": "The bell rings", "toString": "…"}]},
}
PUSH = {
    "push": {"changes": [{"new": {"type": "branch", "name": "main"}, "old": None, "created": True, "forced": False}]},
    "repository": {"type": "repository", "full_name": "mill/gate", "uuid": "{673a6070-3421-46c9-9d48-90745f7bfe8e}"},
    "actor": {"type": "user", "display_name": "Zoë Möller", "uuid": "{a54f16da-24e9-4d7f-a3a7-b1ba2cd98aa3}"},
}


def jira() -> Vectors:
    vectors = Vectors(
        "jira",
        made_by="documentation example, https://developer.atlassian.com/cloud/jira/platform/webhooks/",
        secrets=[f"literal:{SECRET}"],
    )
    headers = {
        "Content-Type": "application/json; charset=UTF-8",
        "X-Atlassian-Webhook-Identifier": "0f9bd6fe-0c53-4f0a-a5b9-2d3a3f1f2a11",
        "X-Atlassian-Webhook-Flow": "Primary",
    }
    body = compact(ISSUE)
    ids = [headers["X-Atlassian-Webhook-Identifier"]]
    signed = {**headers, "X-Hub-Signature": f"sha256={in_hex(SECRET, body)}"}
    vectors.add("an issue", signed, body, ids=ids, types=["jira:issue_updated"])
    vectors.forge("X-Hub-Signature")
    retried = {**signed, "X-Atlassian-Webhook-Retry": "1"}
    vectors.add("the issue, tried again", retried, body, ids=ids, types=["jira:issue_updated"])
    published = {**headers, "X-Hub-Signature": PUBLISHED}
    vectors.add("the documentation's value", published, HELLO, ids=ids, types=["unknown"])
    sha1 = {**headers, "X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}
    vectors.add("another algorithm", sha1, HELLO, verdict="signature_malformed")
    return vectors


def bitbucket() -> Vectors:
    vectors = Vectors(
        "bitbucket",
        made_by="documentation example, https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
        secrets=[f"literal:{SECRET}"],
    )
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Bitbucket-Webhooks/2.0",
        "X-Event-Key": "repo:push",
        "X-Hook-UUID": "51b5ac3a-0bd4-4d7c-9c7b-6d2a5dc5c6f1",
        "X-Request-UUID": "c6fe9f7a-3a10-4d8d-8c1d-6a4d8f3f2f2e",
        "X-Attempt-Number": "1",
    }
    body = compact(PUSH)
    ids = [headers["X-Request-UUID"]]
    signed = {**headers, "X-Hub-Signature": f"sha256={in_hex(SECRET, body)}"}
    vectors.add("a push", signed, body, ids=ids, types=["repo:push"])
    vectors.forge("X-Hub-Signature")
    vectors.add("the push, tried again", signed | {"X-Attempt-Number": "2"}, body, ids=ids, types=["repo:push"])
    published = {**headers, "X-Hub-Signature": PUBLISHED}
    vectors.add("the documentation's value", published, HELLO, ids=ids, types=["repo:push"])
    return vectors


if __name__ == "__main__":
    jira().write()
    bitbucket().write()
