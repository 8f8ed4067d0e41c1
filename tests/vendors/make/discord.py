"""Discord's own library verifies; PyNaCl, which it is built on, signs."""

from typing import Any

import discord_interactions
from nacl.signing import SigningKey

from tests.vendors.make.made_up_keys import ed25519_key, raw
from tests.vendors.make.vectors import NOW, Vectors, by_bytes, fixture, package

KEY = ed25519_key("discord")
PUBLIC = raw(KEY.public_key()).hex()
OTHER = raw(ed25519_key("somebody else").public_key()).hex()
SIGNATURE, TIME = "X-Signature-Ed25519", "X-Signature-Timestamp"
PING, WEBHOOK_PING = (
    b'{"id":"1190000000000000055","type":1,"version":1}',
    b'{"version":1,"application_id":"119","type":0}',
)
COMMAND = '{"id":"1190000000000000056","type":2,"data":{"id":"77","name":"größe"},"token":"made-up"}'.encode()


def headers(body: bytes, at: str = str(NOW)) -> dict[str, str]:
    signature = SigningKey(KEY.private_bytes_raw()).sign(at.encode() + body).signature.hex()
    assert discord_interactions.verify_key(body, signature, at, PUBLIC)
    return {SIGNATURE: signature, TIME: at}


def main() -> None:
    made_by = f"{package('PyNaCl')}, verified by {package('discord-interactions')}"
    vectors = Vectors("discord", made_by, public_keys=[f"literal:{PUBLIC}"])
    vectors.add("a command", headers(COMMAND), COMMAND, ids=["1190000000000000056"], types=["2"])
    event = fixture("discord/ENTITLEMENT_CREATE")
    vectors.add("a webhook event", headers(event), event, ids=[by_bytes(event)], types=["ENTITLEMENT_CREATE"])
    capitals = {**headers(COMMAND), SIGNATURE: headers(COMMAND)[SIGNATURE].upper()}
    vectors.add("in capitals", capitals, COMMAND, ids=["1190000000000000056"], types=["2"])
    rotated = {"public_keys": [f"literal:{OTHER}", f"literal:{PUBLIC}"]}
    ids: Any = {"ids": ["1190000000000000056"], "types": ["2"]}
    vectors.add("two keys during a rotation", headers(COMMAND), COMMAND, source=rotated, **ids)
    vectors.forge(SIGNATURE, tolerance_s=300, other={"public_keys": [f"literal:{OTHER}"]})
    for name, body, answer in (
        ("a ping of interactions", PING, {"status": 200, "body": '{"type":1}'}),
        ("a ping of webhook events", WEBHOOK_PING, {"status": 204, "body": ""}),
    ):
        vectors.add(name, headers(body), body, verdict="answered", answer=answer)
        forged = {**headers(body), SIGNATURE: "00" * 64}
        vectors.add(f"{name}, forged", forged, body, verdict="signature_mismatch")
    good = headers(COMMAND)
    vectors.add("without a time", {SIGNATURE: good[SIGNATURE]}, COMMAND, verdict="timestamp_missing")
    moved = {**good, TIME: str(NOW + 1)}
    vectors.add("another time", moved, COMMAND, verdict="signature_mismatch")
    for name, at in (("in full-width digits", "\uff11760000000"), ("with a sign", "+1760000000"), ("negative", "-1")):
        bad = {**good, TIME: at.encode().decode("latin-1")}
        vectors.add(f"a time {name}", bad, COMMAND, verdict="timestamp_malformed")
    shifted = {SIGNATURE: good[SIGNATURE], TIME: str(NOW)[:-1]}
    vectors.add("a digit moved into the body", shifted, b"0" + COMMAND, verdict="timestamp_stale")
    vectors.write()


if __name__ == "__main__":
    main()
