"""X: the library that Twitter published verifies what is signed here."""

from tests.vendors.make.macs import compact, in_base64
from tests.vendors.make.vectors import NOW, Vectors, by_bytes, node, npm_package

SECRET = "z4kuArpF7HBLLRZNxo2dfc4evmEJdxde58xeeYcZliOU123456"


def signed(payload: object) -> tuple[dict[str, str], bytes]:
    body = compact(payload)
    header = f"sha256={in_base64(SECRET, body)}"
    assert node("x_twitter.mjs", [{"header": header, "secret": SECRET, "body": body.decode()}]) == [True]
    return {"Content-Type": "application/json", "x-twitter-webhooks-signature": header}, body


def post(id: int) -> dict[str, object]:
    return {"id": id, "id_str": str(id), "text": "The bell 🔔", "timestamp_ms": str((NOW - 1) * 1000)}


def main() -> None:
    vectors = Vectors(
        "x-twitter", made_by=f"{npm_package('twitter-autohook')} verifies them", secrets=[f"literal:{SECRET}"]
    )
    user = {"for_user_id": "2244994945"}
    posts = {**user, "tweet_create_events": [post(1050118621198921728), post(1050118621198921729)]}
    ids = ["1050118621198921728", "1050118621198921729"]
    vectors.add("two posts", *signed(posts), ids=ids, types=["tweet_create_events"] * 2)
    vectors.forge("x-twitter-webhooks-signature")
    gone = {"status": {"id": ids[0], "user_id": "2244994945"}, "timestamp_ms": str(NOW * 1000)}
    deleted = {**user, "tweet_delete_events": [gone]}
    vectors.add("one is deleted", *signed(deleted), ids=[by_bytes(compact(gone))], types=["tweet_delete_events"])
    message = {"type": "message_create", "id": "954491830116155396", "created_timestamp": str(NOW * 1000)}
    direct = {**user, "direct_message_events": [message], "apps": {}, "users": {"4337869213": {"id": "4337869213"}}}
    vectors.add("a message", *signed(direct), ids=["954491830116155396"], types=["direct_message_events"])
    revoked = {"user_event": {"revoke": {"date_time": "2025-10-09T08:53:16+00:00", "source": {"user_id": "63046977"}}}}
    vectors.add("no batch", *(one := signed(revoked)), ids=[by_bytes(one[1])], types=["user_event"])
    activity = {
        "data": {"event_type": "profile.update.bio", "filter": {"user_id": "2244994945"}, "payload": {"after": "✓"}}
    }
    vectors.add("the Activity API", *(one := signed(activity)), ids=[by_bytes(one[1])], types=["profile.update.bio"])
    vectors.write()


if __name__ == "__main__":
    main()
