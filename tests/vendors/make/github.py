"""GitHub's library for JavaScript signs and verifies, gidgethub verifies, and the documentation has an example."""

from gidgethub import sansio

from tests.vendors.make.vectors import Vectors, by_bytes, fixture, node, npm_package, package

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
SECRET = "It's a Secret to Everybody"
EXAMPLE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
BODY = fixture("github/pull_request.opened")


def verify(headers: dict[str, str], body: bytes) -> bool:
    sansio.validate_event(body, signature=headers["x-hub-signature-256"], secret=SECRET)
    return bool(node("github.mjs", {"verify": [SECRET, body.decode(), headers["x-hub-signature-256"]]}))


def main() -> None:
    made_by = f"{npm_package('@octokit/webhooks-methods')}, sign; {package('gidgethub')}; documentation's example"
    vectors = Vectors("github", made_by, secrets=[f"literal:{SECRET}"])
    named = {"X-GitHub-Delivery": DELIVERY, "X-GitHub-Event": "pull_request"}
    signature = node("github.mjs", {"sign": [SECRET, BODY.decode()]})
    headers = {**named, "X-Hub-Signature-256": signature}
    vectors.add("a pull request", headers, BODY, ids=[DELIVERY], types=["pull_request.opened"])
    example = b"Hello, World!"
    vectors.add("the documentation's example", {"X-Hub-Signature-256": EXAMPLE}, example, ids=[by_bytes(example)],
                types=["unknown"])  # fmt: skip
    vectors.verified_by(verify, id=DELIVERY, type="pull_request.opened")
    vectors.forge("X-Hub-Signature-256")
    capitals = {**headers, "X-Hub-Signature-256": f"sha256={signature[7:].upper()}"}
    vectors.add("hex in capitals", capitals, BODY, ids=[DELIVERY], types=["pull_request.opened"])
    vectors.add("SHA-1 only", {**named, "X-Hub-Signature": "sha1=" + "0" * 40}, BODY, verdict="signature_missing")
    doubled = [*headers.items(), ("X-GitHub-Delivery", DELIVERY)]
    vectors.add("two delivery ids", doubled, BODY, verdict="signature_malformed")
    vectors.write()


if __name__ == "__main__":
    main()
