"""Standard Webhooks, and those who use it: Svix, Resend, OpenAI and GitLab.

The specification's and Svix's libraries sign; those of Resend and OpenAI verify; GitLab has none of its own.
"""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import openai
import resend
import standardwebhooks
import svix

from tests.vendors.make.vectors import NOW, Vectors, Verify, fixture, package

# https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EXAMPLE_BODY = b'{"test": 2432232314}'
EXAMPLE = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
MESSAGE = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
GITLAB_SECRET = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
PLAIN_SECRET = "a secret that is no base64"


def headers(signature: str, names: str = "webhook", at: int = NOW) -> dict[str, str]:
    return {f"{names}-id": MESSAGE, f"{names}-timestamp": str(at), f"{names}-signature": signature}


def signature(library: Any, body: bytes) -> str:
    made: str = library.sign(MESSAGE, datetime.fromtimestamp(NOW, UTC), body.decode())
    return made


def with_openai(secret: str) -> Verify:
    client = openai.OpenAI(api_key="unused", webhook_secret=secret)
    return lambda sent, body: client.webhooks.verify_signature(body, sent)


def with_resend(sent: dict[str, str], body: bytes) -> object:
    named = {part: sent.get(f"svix-{part}") or sent[f"webhook-{part}"] for part in ("id", "timestamp", "signature")}
    options: Any = {"payload": body.decode(), "headers": named, "webhook_secret": SECRET}
    return resend.Webhooks.verify(options)


def forge(vectors: Vectors, names: str = "webhook") -> None:
    first = vectors.requests[0]
    good: dict[str, str] = dict(first["headers"])
    body = first["body"]
    known = {"ids": first["ids"], "types": first["types"]}
    stamped = f"{names}-signature"
    vectors.forge(stamped, tolerance_s=300)
    both = {**good, stamped: f"v1,{b64encode(bytes(32)).decode()} {good[stamped]} v1a,AAAA v2,new"}
    vectors.add("several signatures, one of them right", both, body, **known)
    for name, changed, code in (
        ("another id", {f"{names}-id": "msg_other"}, "signature_mismatch"),
        ("another time", {f"{names}-timestamp": str(NOW + 1)}, "signature_mismatch"),
        ("a time with a sign", {f"{names}-timestamp": f"+{NOW}"}, "timestamp_malformed"),
        ("an empty time", {f"{names}-timestamp": ""}, "timestamp_missing"),
        ("an empty id", {f"{names}-id": ""}, "id_missing"),
        ("without v1", {stamped: good[stamped].removeprefix("v1,")}, "signature_malformed"),
        ("v1a only", {stamped: good[stamped].replace("v1,", "v1a,")}, "signature_malformed"),
    ):
        vectors.add(name, {**good, **changed}, body, verdict=code)
    doubled = [*good.items(), (f"{names}-id", MESSAGE)]
    vectors.add("two ids", doubled, body, verdict="signature_malformed")
    vectors.write()


def specification() -> None:
    library = standardwebhooks.Webhook(SECRET)
    made_by = f"{package('standardwebhooks')}, Webhook.sign; the specification's example"
    vectors = Vectors("standardwebhooks", made_by, secrets=[f"literal:{SECRET}"])
    body = fixture("standardwebhooks/invoice.paid")
    vectors.add("an invoice", headers(signature(library, body)), body, ids=[MESSAGE], types=["invoice.paid"])
    vectors.add("the specification's example", EXAMPLE, EXAMPLE_BODY, at=1614265330, ids=[EXAMPLE["webhook-id"]],
                types=["unknown"])  # fmt: skip
    vectors.verified_by(lambda sent, body: library.verify(body, sent), id=MESSAGE)
    forge(vectors)


def by_svix(preset: str, name: str, made_by: str, *verifiers: Verify) -> None:
    library = svix.Webhook(SECRET)
    vectors = Vectors(preset, made_by, secrets=[f"literal:{SECRET}"])
    body, known = fixture(f"{preset}/{name}"), {"ids": [MESSAGE], "types": [name]}
    vectors.add("with Svix's names", headers(signature(library, body), "svix"), body, **known)
    vectors.add("with the specification's names", headers(signature(library, body)), body, **known)
    for verify in (lambda sent, body: library.verify(body, sent), *verifiers):
        vectors.verified_by(verify, id=MESSAGE)
    forge(vectors, "svix")


def by_openai() -> None:
    made_by = f"{package('standardwebhooks')}, Webhook.sign; {package('openai')}, webhooks.verify_signature"
    vectors = Vectors("openai", made_by, secrets=[f"literal:{SECRET}"])
    name = "response.completed"
    body, known = fixture(f"openai/{name}"), {"ids": [MESSAGE], "types": [name]}
    vectors.add("a response", headers(signature(standardwebhooks.Webhook(SECRET), body)), body, **known)
    vectors.verified_by(with_openai(SECRET), id=MESSAGE)
    plain = {"secrets": [f"literal:{PLAIN_SECRET}"]}
    mac = hmac.digest(PLAIN_SECRET.encode(), f"{MESSAGE}.{NOW}.".encode() + body, hashlib.sha256)
    by_text = Vectors("openai", made_by, **plain)
    by_text.add("a secret that is text", headers(f"v1,{b64encode(mac).decode()}"), body, source=plain, **known)
    by_text.verified_by(with_openai(PLAIN_SECRET), id=MESSAGE)
    vectors.requests += by_text.requests
    forge(vectors)


def by_gitlab() -> None:
    library = standardwebhooks.Webhook(GITLAB_SECRET)
    vectors = Vectors(
        "gitlab-signing",
        f"{package('standardwebhooks')}, Webhook.sign, as GitLab's description asks",
        secrets=[f"literal:{GITLAB_SECRET}"],
    )
    body = fixture("gitlab-signing/merge_request.open")
    about = {"X-Gitlab-Event": "Merge Request Hook", "Idempotency-Key": MESSAGE}
    sent = {**headers(signature(library, body)), **about}
    vectors.add("a merge request", sent, body, ids=[MESSAGE], types=["merge_request.open"])
    vectors.verified_by(lambda sent, body: library.verify(body, sent), id=MESSAGE)
    forge(vectors)


if __name__ == "__main__":
    specification()
    by_svix("svix", "invoice.paid", f"{package('svix')}, Webhook.sign")
    by_svix("resend", "email.delivered", f"{package('svix')}, Webhook.sign; {package('resend')}", with_resend)
    by_openai()
    by_gitlab()
