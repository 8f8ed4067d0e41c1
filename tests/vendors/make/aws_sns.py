"""sns-validator (npm) verifies; certificates are our own, as Amazon's key is Amazon's."""

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.vendors.make.made_up_keys import certificate, pem, rsa_key
from tests.vendors.make.vectors import Vectors, fixture, node, npm_package

HOST = "https://sns.us-east-1.amazonaws.com"
ADDRESS = f"{HOST}/SimpleNotificationService-0a1b2c3d4e5f60718293a4b5c6d7e8f9.pem"
KEY, OTHER, ROOT_KEY = rsa_key("sns"), rsa_key("somebody else"), rsa_key("root")
ROOT = certificate("Larkspur Root", ROOT_KEY, authority=True)
ISSUER = ("Larkspur Root", ROOT_KEY)
LEAF = certificate("sns.amazonaws.com", KEY, ISSUER)
TOPIC = "arn:aws:sns:us-east-1:123456789012:larkspur-orders"
TOKEN = "2336412f37fb687f5d51e6e2425dacbbaac1a1c2"
CONFIRM = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={TOKEN}"
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}
ID = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"


def signed(key: Any = KEY, **changes: Any) -> dict[str, Any]:
    """The fixture with these members, signed; ... takes one away."""
    message = {**json.loads(fixture("aws-sns/Notification")), **changes}
    message = {name: value for name, value in message.items() if value is not ...}
    lines = (f"{name}\n{message[name]}\n" for name in SIGNED[message["Type"]] if message.get(name) is not None)
    hash = HASHES.get(message["SignatureVersion"], hashes.SHA256())
    signature = key.sign("".join(lines).encode(), padding.PKCS1v15(), hash)
    return {**message, "Signature": b64encode(signature).decode()}


def confirmation(**changes: Any) -> dict[str, Any]:
    said = {"Type": "SubscriptionConfirmation", "Subject": ..., "UnsubscribeURL": ..., "Message": "You have chosen…"}
    return signed(**{**said, "Token": TOKEN, "SubscribeURL": CONFIRM, **changes})


def main() -> None:
    pins = {"keys": {ADDRESS: f"literal:{pem(LEAF)}"}}
    vectors = Vectors("aws-sns", f"{npm_package('sns-validator')}, verified by it", topic_arn=TOPIC, **pins)

    def add(name: str, message: dict[str, Any], verdict: str = "accepted", **more: Any) -> None:
        if verdict == "accepted":
            more = {"ids": [message["MessageId"]], "types": [message["Type"]], **more}
        body = json.dumps(message, ensure_ascii=False, indent=2)
        vectors.add(name, {"Content-Type": "text/plain; charset=UTF-8"}, body, verdict=verdict, **more)

    good = signed()
    accepted = {
        "SHA-256": good,
        "SHA-1": signed(SignatureVersion="1"),
        "without a subject": signed(Subject=...),
        "a null subject": signed(Subject=None),
        "text beyond ASCII and line breaks": signed(Message='Łódź\n🙂 "quoted"\r\nMessageId\nx\n'),
    }
    for name, message in accepted.items():
        add(name, message)
    # Their library forgets that the token is signed too; Amazon's documentation does not.
    end = confirmation(Type="UnsubscribeConfirmation", MessageId="47138184-6831-46b8-8f7c-afc488602d7d")
    add("the end of a subscription", end)
    answer = {"status": 200, "body": ""}
    add("a subscription", confirmation(), "answered", answer=answer)
    proven = [*accepted.values(), confirmation()]
    proven = [{name: value for name, value in one.items() if value is not None} for one in proven]
    assert set(node("aws_sns.mjs", {"messages": proven, "certificates": {ADDRESS: pem(LEAF)}})) == {""}

    anchors = {"trust_anchors": [f"literal:{pem(ROOT)}"]}
    add("a certificate that leads to an anchor", good, source=anchors)
    add("one of several topics", good, source={"topic_arn": ["arn:aws:sns:us-east-1:1:other", TOPIC]})
    add("a pinned key alone", good, source={"keys": {ADDRESS: f"literal:{pem(KEY.public_key())}"}})
    at = 1_760_000_000
    add("just not stale", good, at=at + 3598)
    add("stale", good, "timestamp_stale", at=at + 3602)
    add("just not of the future", good, at=at - 3600)
    add("of the future", good, "timestamp_future", at=at - 3603)

    mismatch, malformed, missing = "signature_mismatch", "signature_malformed", "signature_missing"
    forged = {
        "another message": ({**good, "Message": "{}"}, mismatch),
        "another id": ({**good, "MessageId": "1"}, mismatch),
        "another subject": ({**good, "Subject": "x"}, mismatch),
        "a subject taken away": ({**good, "Subject": None}, mismatch),
        "another time": ({**good, "Timestamp": "2025-10-09T08:53:20.000Z"}, mismatch),
        "another topic": (signed(TopicArn="arn:aws:sns:us-east-1:999999999999:evil"), mismatch),
        "another topic by a longer name": (signed(TopicArn=f"{TOPIC}-evil"), mismatch),
        "a topic in the name of ours": ({**signed(TopicArn="arn:evil"), "TopicArn": TOPIC}, mismatch),
        "another key": (signed(OTHER), mismatch),
        "version 1 said to be 2": ({**signed(SignatureVersion="1"), "SignatureVersion": "2"}, mismatch),
        "version 3": (signed(SignatureVersion="3"), malformed),
        "a version that is a number": ({**good, "SignatureVersion": 2}, malformed),
        "another type": ({**good, "Type": "Notification2"}, malformed),
        "a type that is a list": ({**good, "Type": ["Notification"]}, malformed),
        "a message that is an object": ({**good, "Message": {}}, malformed),
        "a signature that is none": ({**good, "Signature": "nonsense"}, malformed),
        "a signature that is a number": ({**good, "Signature": 7}, malformed),
        "a signature beyond ASCII": ({**good, "Signature": good["Signature"][:-2] + "é="}, malformed),
        "a notification said to confirm": ({**good, "Type": "SubscriptionConfirmation"}, missing),
        "a confirmation said to notify": ({**confirmation(), "Type": "Notification"}, mismatch),
        "a confirmation with another address": ({**confirmation(), "SubscribeURL": f"{CONFIRM}1"}, mismatch),
        "a confirmation for another topic": (confirmation(TopicArn="arn:aws:sns:us-east-1:9:evil"), mismatch),
    }
    for name, (message, verdict) in forged.items():
        add(name, message, verdict)
    for name in ("Signature", "SigningCertURL", "SignatureVersion", "Message", "MessageId", "Timestamp", "TopicArn"):
        add(f"without {name}", {key: value for key, value in good.items() if key != name}, missing)
    for name, body in (("no JSON", b"Hello"), ("a list", b"[]"), ("nothing", b""), ("raw", b'{"order":"1042"}')):
        vectors.add(f"a body of {name}", {}, body, verdict=missing)
    add("a source without a topic", good, mismatch, source={"topic_arn": []})
    for name, address in _addresses().items():
        add(f"a certificate's address with {name}", {**good, "SigningCertURL": address}, mismatch)
    for name, address in _confirmations().items():
        add(f"a subscription to be confirmed at {name}", confirmation(SubscribeURL=address), "handshake_refused")
    distrusted = {
        "of another root": certificate("sns.amazonaws.com", KEY, ("Larkspur Root", OTHER)),
        "that has run out": certificate("sns.amazonaws.com", KEY, ISSUER, days=(0, 200)),
    }
    for name, leaf in distrusted.items():
        source = {"keys": {ADDRESS: f"literal:{pem(leaf)}"}, **anchors}
        add(f"a certificate {name}", good, mismatch, source=source)
    vectors.write()


def _addresses() -> dict[str, str]:
    return {
        "another host": "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
        "a bucket's host": "https://s3.amazonaws.com/evil/SimpleNotificationService-1.pem",
        "a host that ends alike": ADDRESS.replace("sns.us-east-1.amazonaws", "sns.us-east-1.evilamazonaws"),
        "a user": ADDRESS.replace("https://", "https://evil.example@"),
        "our host as the user": f"{HOST}@evil.example/SimpleNotificationService-1.pem",
        "a backslash": f"https://evil.example\\.{ADDRESS[8:]}",
        "a port": ADDRESS.replace(".com/", ".com:8443/"),
        "http": ADDRESS.replace("https", "http"),
        "capitals": ADDRESS.replace(HOST, HOST.upper()),
        "a dot behind the host": ADDRESS.replace(".com/", ".com./"),
        "a step up": f"{HOST}/x/../SimpleNotificationService-1.pem",
        "an escaped step up": f"{HOST}/%2e%2e/SimpleNotificationService-1.pem",
        "a query": f"{ADDRESS}?x.pem",
        "a fragment": f"{ADDRESS}#x.pem",
        "a line break": f"{ADDRESS}\n",
        "another ending": ADDRESS.replace(".pem", ".crt"),
    }


def _confirmations() -> dict[str, str]:
    return {
        "another host": CONFIRM.replace(HOST, "https://evil.example"),
        "another region": CONFIRM.replace("us-east-1", "eu-west-1", 1),
        "another service": CONFIRM.replace("//sns.", "//sqs."),
        "a user": CONFIRM.replace("https://", "https://evil.example@"),
        "our host as the user": CONFIRM.replace("/?", "@evil.example/?"),
        "a port": CONFIRM.replace(".com/", ".com:8443/"),
        "http": CONFIRM.replace("https", "http", 1),
        "a path": CONFIRM.replace("/?", "/x/?"),
        "a backslash": CONFIRM.replace("https://", "https://evil.example\\"),
        "a line break": f"{CONFIRM}\r\nHost: evil.example",
    }


if __name__ == "__main__":
    main()
