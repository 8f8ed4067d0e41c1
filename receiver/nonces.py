"""What may be used once: where a signature does not cover the body, each nonce is good for one body only.

In memory, so a restart forgets them; the tolerance then still bounds how long a seen signature is good for.
"""

from hashlib import blake2b

from receiver.schemes import Refused

_MOST = 65536
_DIGEST_BYTES = 16


class Nonces:
    """The newest ones, without a clock: only holders of a secret can make new ones, so no stranger pushes them out."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._bodies: dict[bytes, bytes] = {}

    def use(self, source: str, nonce: bytes, body: bytes) -> bytes | None:
        """What `release` takes; None if this very body came before. Errors: Refused, if another one did."""
        used, content = _digest(source.encode() + b"\0" + nonce), _digest(body)
        before = self._bodies.setdefault(used, content)
        if before is content:
            self._forget_oldest()
            return used
        if before != content:
            raise Refused("nonce_reused", "its signature came before with another body")
        return None

    def release(self, used: bytes) -> None:
        """It was not stored, so its vendor may try again, and need not send the same bytes."""
        self._bodies.pop(used, None)

    def _forget_oldest(self) -> None:
        if len(self._bodies) > self._most:
            del self._bodies[next(iter(self._bodies))]


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
