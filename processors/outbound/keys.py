"""Idempotency keys: the same on every attempt, in every process, after every deploy, in every version."""

import hashlib

PREFIX = "postern-"


def idempotency_key(event_id: str, handler: str, step: str, generation: int, revision: int) -> str:
    """48 ASCII characters. Lengths are hashed with the parts, so that no two lists of parts run together."""
    parts = ("1", event_id, handler, step, str(generation), str(revision))
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return PREFIX + digest.hexdigest()[:40]
