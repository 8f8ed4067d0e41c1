"""Writes docs/vendors.md from the presets: `python -m tests.vendors.page`. A test compares the two."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from receiver.schemes.presets import preset, preset_names

PAGE = Path(__file__).parents[2] / "docs" / "vendors.md"
_SCHEMES_OF_MANY = ("hmac", "token", "ed25519", "ecdsa", "jwt")
_INTRODUCTION = """\
# Vendors

What Postern knows of {count} kinds of webhooks: `preset = "NAME"` in a `[sources.…]` table. Each name leads to the
vendor's own documentation. [reference.md](reference.md) says what a preset's keys mean; any of them may be overridden.

* *covers*: what a signature protects. What it does not cover, somebody who has seen one request can change or send
  again; an event's id that is not covered protects against the vendor's own repetitions only.
* *id*: what tells one event from another, the first of them that is there. Where there is none, equal bytes are one
  event for so long as is said.
* *time*: how far a signed time may be from our clock, into the past and into the future alike.
* *proven by*: what signed the requests in `tests/vendors/vectors`, which are verified in every run of the tests, beside
  forgeries of them. *Both ways*: the vendor's library also verified what Postern signs. `make vectors` makes them anew.
"""
_AFTER = """\
## When a delivery fails

Postern answers `503` to what it cannot store, `401` to what it cannot verify. What the vendor does then, and how it is
made to send something again:
"""


def page() -> str:
    known = [(name, preset(name, "here")) for name in preset_names()]
    proofs = _table(("preset", "scheme", "covers", "id", "batch", "time", "proven by"), map(_proof, known))
    failures = _table(("preset", "the vendor tries again", "to have it sent again"), map(_failure, known))
    return "\n".join((_INTRODUCTION.format(count=len(known)), *proofs, "", _AFTER, *failures, ""))


def _proof(known: tuple[str, Mapping[str, Any]]) -> Sequence[str]:
    name, keys = known
    tolerance = f"{keys['tolerance_s']} s" if "tolerance_s" in keys else ""
    scheme = keys["scheme"] if keys["scheme"] in _SCHEMES_OF_MANY else "its own"
    batch = "yes" if "items" in keys else ""
    return f"[{name}]({keys['docs']})", scheme, keys["covers"], _id(keys), batch, tolerance, keys["proof"]


def _failure(known: tuple[str, Mapping[str, Any]]) -> Sequence[str]:
    name, keys = known
    return name, keys["retries"], keys["redeliver"]


def _id(keys: Mapping[str, Any]) -> str:
    if "id" not in keys:
        window_s = keys.get("dedupe_window_s")
        return f"none: for {window_s // 60} min" if window_s else "none: for 72 h"
    places = [keys["id"]] if isinstance(keys["id"], str) else keys["id"]
    return ", else ".join(f"`{place}`" for place in places)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---"] * len(heads))
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
