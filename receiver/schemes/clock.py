"""When a request says it was signed, and how far from our own clock that may be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from receiver.errors import UserError
from receiver.schemes import Refused
from receiver.schemes.locator import Locator, Readable, compile_key, text_of
from receiver.schemes.timestamp import UNITS, read_timestamp, write_timestamp

_TOLERANCE_S: Final = 300


class Stamp(NamedTuple):
    text: bytes
    """As it was sent, which is what is signed."""
    at: float


@dataclass(frozen=True, slots=True)
class Clock:
    locator: Locator | None
    """None where the time stands in the signature's header."""
    unit: str
    tolerance_s: float
    in_signed_body: bool
    """The body is signed and the time is in it, so the body is parsed after the signature was found right."""

    @property
    def header_names(self) -> tuple[str, ...]:
        return self.locator.header_names if self.locator else ()

    @property
    def used(self) -> frozenset[str]:
        return frozenset({"timestamp_unit", "tolerance_s", *(("timestamp",) if self.locator else ())})

    def read(self, request: Readable, in_signature: bytes | None) -> Stamp:
        value = self.locator.find(request) if self.locator else in_signature
        if value is None or value == b"":
            raise Refused("timestamp_missing", "the request does not say when it was signed")
        text = text_of(value) or ""
        at = read_timestamp(text, self.unit)
        if at is None:
            raise Refused("timestamp_malformed", f"{value!r:.60} is no time in the unit {self.unit}")
        return Stamp(value if isinstance(value, bytes) else text.encode(), at)

    def check(self, at: float, now: float) -> None:
        late_s = now - at
        if late_s > self.tolerance_s:
            self._refuse("timestamp_stale", f"{late_s:.0f} s ago", at)
        if -late_s > self.tolerance_s:
            self._refuse("timestamp_future", f"{-late_s:.0f} s ahead", at)

    def write(self, now: float) -> str:
        return write_timestamp(now, self.unit)

    def _refuse(self, code: str, when: str, at: float) -> None:
        raise Refused(code, f"signed {when} by our clock, {self.tolerance_s:g} s are allowed", at)


def compile_clock(keys: Mapping[str, Any], in_signature: bool, signed: Collection[str], where: str) -> Clock | None:
    """None where the sender gives no time; `signed` holds the words of the signed content."""
    locator = None if in_signature else compile_key(keys, "timestamp", where)
    if locator is None and not in_signature:
        if "timestamp" in signed:
            raise UserError("{timestamp} is nowhere", f"{where} content", 'set timestamp = "header:NAME"')
        return None
    unit = keys.get("timestamp_unit", "s")
    if unit not in UNITS:
        raise UserError(f"{unit!r} is no unit", f"{where} timestamp_unit", 'write "s", "ms" or "iso"')
    in_signed_body = locator is not None and not locator.header_names and "timestamp" not in signed
    return Clock(locator, unit, keys.get("tolerance_s", _TOLERANCE_S), in_signed_body)
