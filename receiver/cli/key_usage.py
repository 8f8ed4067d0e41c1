"""What each configured key has verified, and which of them need a person. No secret is needed to tell."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from receiver.cli.advice import Advice
from receiver.cli.common import shown_time
from receiver.settings import KeySettings, Settings, SourceSettings

if TYPE_CHECKING:
    from receiver.store.models import Usage

SOON = timedelta(days=7)
LATELY = timedelta(days=1)


@dataclass(frozen=True)
class KeyUsage:
    source: str
    key: str
    """Reference and fingerprint; the reference alone where it has verified nothing yet."""
    not_after: datetime | None
    verified: int = 0
    last_verified_at: datetime | None = None


def key_usage(settings: Settings, stored: "Mapping[str, Mapping[str, Usage]]") -> Iterator[KeyUsage]:
    """Of the configured keys. Where another secret stood under the same name before, it is told as well."""
    for name, source in settings.sources.items():
        used = stored.get(name, {}).values()
        for reference, entry in {str(entry.ref): entry for entry in _entries(source)}.items():
            same = [one for one in used if one.key.rpartition(" (")[0] == reference]
            yield from (
                KeyUsage(name, one.key, entry.not_after, one.verified, one.last_verified_at) for one in same
            )  # fmt: skip
            if not same:
                yield KeyUsage(name, reference, entry.not_after)


def _entries(source: SourceSettings) -> Iterable[KeySettings]:
    named = (KeySettings(ref=reference) for reference in (source.keys or {}).values())
    return (*source.secrets, *(source.public_keys or ()), *named)


def key_advice(keys: Iterable[KeyUsage], now: datetime) -> Iterator[Advice]:
    """A key that ends soon and is still used, and one that has ended and is still there."""
    for used in keys:
        if used.not_after is None or used.not_after > now + SOON:
            continue
        key, at = f"{used.source}: the key {used.key}", shown_time(used.not_after)
        if used.not_after <= now:
            yield Advice(f"{key} verifies nothing since {at}: take it out of the configuration", "postern sources")
        elif used.last_verified_at is not None and used.last_verified_at > now - LATELY:
            yield Advice(
                f"{key} ends at {at} and is still used: have its vendor sign with a newer one", "postern sources"
            )
