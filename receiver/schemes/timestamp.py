"""Times as vendors write them, read strictly: whole seconds, milliseconds, or ISO 8601 with an offset."""

import re
from datetime import UTC, datetime
from typing import Any, Final

# ASCII digits only: int() also takes "１２３", " 1_000 " and, slowly, any number of digits.
_DIGITS: Final = {"s": re.compile(r"[0-9]{1,12}"), "ms": re.compile(r"[0-9]{1,15}")}
_A_SECOND: Final = {"s": 1, "ms": 1000}
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
_YEAR_10000 = 253402300800.0
_MOST_MS: Final = 10**15
UNITS: Final = ("s", "ms", "iso")


def read_timestamp(text: str, unit: str) -> float | None:
    """Epoch seconds; None where the text is no time that a datetime could hold."""
    if unit == "iso":
        return _read_iso(text)
    if not _DIGITS[unit].fullmatch(text):
        return None
    at = int(text) / _A_SECOND[unit]
    return at if at < _YEAR_10000 else None


def write_timestamp(now: float, unit: str) -> str:
    if unit == "iso":
        return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(int(now * 1000) if unit == "ms" else int(now))


def moment(value: Any) -> datetime | None:
    """When something happened: unix time as a number or in digits, or ISO 8601 text with its offset.

    Vendors differ: what would be seconds after the year 10000 is milliseconds (and else before 1978).
    """
    at = None
    if isinstance(value, str):
        at = read_timestamp(value, "s") or read_timestamp(value, "ms") or _read_iso(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at = _in_range(value) or _in_range(min(value, _MOST_MS) / 1000)  # a larger one may not fit into a float
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _read_iso(text: str) -> float | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        return _in_range(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _in_range(at: float) -> float | None:
    return at if 0 <= at < _YEAR_10000 else None
