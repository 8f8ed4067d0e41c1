"""Amazon SNS: RSA over some members of the body, under a certificate that the body names.

A subscription is confirmed by fetching an address that the body holds. Anybody can have SNS sign a request to us, for a
topic of his own; so only the topics of the configuration count, and the address must be Amazon SNS's in the topic's own
region. Both are signed; the certificate's address is not, and only ever a name.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Reply, Request, Signed, Verified, Wanted
from receiver.schemes.certified import Certified
from receiver.schemes.clock import Clock
from receiver.schemes.locator import compile_locator

# https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
_OF_A_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_A_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final = {
    "Notification": _OF_A_NOTIFICATION,
    "SubscriptionConfirmation": _OF_A_CONFIRMATION,
    "UnsubscribeConfirmation": _OF_A_CONFIRMATION,
}
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  a topic's default
# A region has a name of this form, and only a region: whoever owns the bucket `sns` has sns.s3-us-west-2.amazonaws.com.
_HOST: Final = r"https://sns\.(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})\.amazonaws\.com(?:\.cn)?"
_CONFIRM: Final = re.compile(_HOST + r"/\?[!-~]{1,2048}", re.ASCII)
_EXAMPLE: Final = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-of-your-own.pem"


class AwsSns(Certified):
    addresses = re.compile(_HOST + r"/[A-Za-z0-9_-]{1,128}\.pem", re.ASCII)
    needs = ("topic_arn",)

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        topics = keys.get("topic_arn", ())
        self._topics = (topics,) if isinstance(topics, str) else topics
        time = compile_locator("body:Timestamp", where)
        self._clock = Clock(time, "iso", keys.get("tolerance_s", 3600), in_signed_body=True)
        self.greets |= {"POST"}

    def wants(self, request: Request, keys: Sequence[Key]) -> Wanted | None:
        wanted = super().wants(request, keys)
        if wanted is not None:  # before it is asked for: who does not know the topic makes us ask nothing
            self._check_topic(_message(request))
        return wanted

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_lacking()
        message = _message(request)
        hash = _HASHES.get(_text(message, "SignatureVersion"))
        if hash is None:
            raise Refused("signature_malformed", "the SignatureVersion is neither 1 nor 2")
        signature, content = _text(message, "Signature"), b"".join(_lines(message))
        key = self._signer(self._address(request), signature, content, hash, keys, now)
        stamp = self._clock.read(request, None)
        self._check_topic(message, stamp.at)
        self._clock.check(stamp.at, now)
        return Verified(key, stamp.at)

    def greet(self, request: Request, keys: Sequence[Key], *, verified: bool) -> Reply | None:
        """A confirmed subscription stores no event; that one has ended (`UnsubscribeConfirmation`) is an event."""
        if not verified or request.payload["Type"] != "SubscriptionConfirmation":
            return super().greet(request, keys, verified=verified)
        address, topic = request.payload["SubscribeURL"], request.payload["TopicArn"]
        confirm = _CONFIRM.fullmatch(address)
        if confirm is None or confirm["region"] not in topic.split(":"):
            raise Refused("handshake_refused", f"{address!r:.200} is no address of Amazon SNS in the topic's region")
        return Reply(200, b"", call=address)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        message = self.parse(body)
        if not isinstance(message, dict) or message.get("Type") not in _SIGNED:
            raise UserError("this is no message of Amazon SNS: its Type is unknown", self._where)
        message |= {"Timestamp": self._clock.write(now), "SignatureVersion": "2"}
        message.setdefault("SigningCertURL", key.name or _EXAMPLE)
        if message.get("TopicArn") not in self._topics:
            message["TopicArn"] = next(iter(self._topics), "")
        try:
            content = b"".join(_lines(message))
        except Refused as refused:
            raise UserError(f"this cannot be signed: {refused.detail}", self._where) from None
        message["Signature"] = b64encode(self._signed_by(key, content)).decode()
        return Signed(list(self._headers_for(body, id, type)), to_json(message))

    def _check_topic(self, message: Mapping[str, Any], claimed_at: float | None = None) -> None:
        self._refuse_lacking()
        topic = _text(message, "TopicArn")
        if topic not in self._topics:
            raise Refused("signature_mismatch", f"{topic!r:.200} is not in topic_arn", claimed_at)

    def _address(self, request: Request) -> str:
        return _text(_message(request), "SigningCertURL")


def _message(request: Request) -> Mapping[str, Any]:
    message = request.payload
    if not isinstance(message, dict) or "Signature" not in message:
        raise Refused("signature_missing", "the body is no signed message: is raw message delivery on?")
    if _text(message, "Type") not in _SIGNED:
        raise Refused("signature_malformed", f"there is no rule for what a {message['Type']!r:.60} signs")
    return message


def _lines(message: Mapping[str, Any]) -> Iterator[bytes]:
    """What is signed."""
    for name in _SIGNED[message["Type"]]:
        if name != "Subject" or message.get(name) is not None:
            yield f"{name}\n{_text(message, name)}\n".encode()


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if value is None:
        raise Refused("signature_missing", f"the body has no {name}, which is signed")
    if not isinstance(value, str):
        raise Refused("signature_malformed", f"the {name} is no text")
    return value
