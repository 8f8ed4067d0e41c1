"""Notion's own library signs and verifies."""

from tests.vendors.make.vectors import Vectors, fixture, node, npm_package

SECRET = "secret_larkspur_made_up_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"
EVENT = "367cba44-b6f3-4c92-81e7-6a2e9659efd4"
BODY = fixture("notion/page.content_updated")


def verify(headers: dict[str, str], body: bytes) -> bool:
    signature = headers["x-notion-signature"]
    return bool(node("notion.mjs", {"body": body.decode(), "verificationToken": SECRET, "signature": signature}))


def main() -> None:
    vectors = Vectors("notion", f"{npm_package('@notionhq/client')}, signWebhookPayload", secrets=[f"literal:{SECRET}"])
    signature = node("notion.mjs", {"body": BODY.decode(), "verificationToken": SECRET})
    known = {"ids": [EVENT], "types": ["page.content_updated"]}
    vectors.add("a page", {"X-Notion-Signature": signature}, BODY, **known)
    # The library takes capitals too.
    capitals = f"sha256={signature[7:].upper()}"
    vectors.add("hex in capitals", {"X-Notion-Signature": capitals}, BODY, **known)
    vectors.verified_by(verify)
    vectors.forge("X-Notion-Signature")
    vectors.write()


if __name__ == "__main__":
    main()
