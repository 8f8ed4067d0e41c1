"""Adyen's standard webhooks: each item of a batch holds the signature of eight of its own values.

https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Signed, Verified
from receiver.schemes.hmac import Hmac
from receiver.schemes.locator import Body, follow, put, text_of

_ITEM: Final = "NotificationRequestItem"
_SIGNED: Final = (
    *(("pspReference",), ("originalReference",), ("merchantAccountCode",), ("merchantReference",)),
    *(("amount", "value"), ("amount", "currency"), ("eventCode",), ("success",)),
)
_FREE: Final = ("merchantReference",)


class Adyen(Hmac):
    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        """Every item is checked: Adyen's own library looks at the first only."""
        items = self._items.find(request.payload) if self._items else None
        if not items:
            raise Refused("signature_missing", "there are no notificationItems, and so there is no signature")
        matching = [
            self._match(_content(part.payload), self._read_signatures(part)[1], keys, None)
            for part in self._parts(request, items)
        ]
        return Verified(matching[0], None)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        payload, place = self.parse(body), self._signatures[0]
        assert isinstance(place, Body)
        for item in self._items_or_whole(payload):
            try:
                signed = put(item, place.steps, self._make(_content(item), key).decode())
            except Refused as refused:
                raise UserError(f"this cannot be signed: {refused.detail}", self._where) from None
            if not signed:
                raise UserError("the body has no place for its signature", self._where)
        return Signed(list(self._headers_for(body, id, type)), to_json(payload))


def _content(item: Any) -> bytes:
    return ":".join(_text(item, path) for path in _SIGNED).encode()


def _text(item: Any, path: tuple[str, ...]) -> str:
    value = follow(item, (_ITEM, *path))
    if value is None or value == "":
        return ""
    text = str(value).lower() if isinstance(value, bool) else text_of(value)
    # Colons are not escaped: with one in another place, the same signature would fit other values.
    if text is None or (":" in text and path != _FREE):
        raise Refused("signature_malformed", f"{'.'.join(path)} is nothing that Adyen signs")
    return text
