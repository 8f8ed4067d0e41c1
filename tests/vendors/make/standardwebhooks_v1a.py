"""PyNaCl signs what the specification of Standard Webhooks says; no library of theirs knows v1a yet."""

from base64 import b64encode
from datetime import datetime
from typing import Any

from nacl.signing import SigningKey
from standardwebhooks import Webhook

from tests.vendors.make.made_up_keys import ed25519_key, raw
from tests.vendors.make.vectors import NOW, Vectors, fixture, package

KEY, OTHER = ed25519_key("standardwebhooks"), ed25519_key("somebody else")
ID = "msg_2larkspurv1a0001"


def whpk(key: object = KEY) -> str:
    return f"literal:whpk_{b64encode(raw(key.public_key())).decode()}"  # type: ignore[attr-defined]  # of either


def signature(body: bytes, key: object = KEY, id: str = ID, at: int = NOW) -> str:
    signer = SigningKey(key.private_bytes_raw())  # type: ignore[attr-defined]  # of either
    return f"v1a,{b64encode(signer.sign(f'{id}.{at}.'.encode() + body).signature).decode()}"


def headers(signatures: str, id: str = ID, at: str = str(NOW)) -> dict[str, str]:
    return {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures}


def main() -> None:
    made_by = f"{package('PyNaCl')}, after the specification of Standard Webhooks"
    vectors = Vectors("standardwebhooks-v1a", made_by, public_keys=[whpk()])
    body = fixture("standardwebhooks-v1a/invoice.settled")
    good, other = signature(body), signature(body, OTHER)
    ids: Any = {"ids": [ID], "types": ["invoice.settled"]}
    symmetric = Webhook(b"a secret of somebody").sign(ID, _moment(), body.decode())
    vectors.add("an invoice", headers(good), body, **ids)
    vectors.add("two keys of the sender", headers(f"{other} {good}"), body, **ids)
    vectors.add("with a v1, which is skipped", headers(f"{symmetric} {good}"), body, **ids)
    bare = {"public_keys": [whpk().replace("whpk_", "")]}
    vectors.add("a key without its prefix", headers(good), body, source=bare, **ids)
    vectors.forge("webhook-signature", tolerance_s=300, other={"public_keys": [whpk(OTHER)]})
    vectors.add("v1 only", headers(symmetric), body, verdict="signature_malformed")
    vectors.add("v1a called v1", headers(good.replace("v1a", "v1")), body, verdict="signature_malformed")
    vectors.add("HMAC with the public key", headers(_confused(body)), body, verdict="signature_malformed")
    vectors.add("another id", headers(good, id="msg_other"), body, verdict="signature_mismatch")
    vectors.add("another time", headers(good, at=str(NOW + 1)), body, verdict="signature_mismatch")
    without = {name: text for name, text in headers(good).items() if name != "webhook-id"}
    vectors.add("without an id", without, body, verdict="id_missing")
    vectors.add("seventeen signatures", headers(" ".join([other] * 17)), body, verdict="signature_malformed")
    vectors.write()


def _confused(body: bytes) -> str:
    return Webhook(raw(KEY.public_key())).sign(ID, _moment(), body.decode()).replace("v1,", "v1a,")


def _moment() -> datetime:
    return datetime.fromtimestamp(NOW)  # noqa: DTZ006  their library takes it without a zone, for UTC


if __name__ == "__main__":
    main()
