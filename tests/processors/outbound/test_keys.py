"""Idempotency keys. The values in this file are golden: they must never change, in no version.

A key that changes with an upgrade makes every call in doubt take effect a second time. If a test here fails, the code
is wrong, whatever it wanted to achieve.
"""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.outbound.keys import idempotency_key

GOLDEN = {
    ("ev_0000000000001", "book", "POST ledger /entries", 0, 0): "postern-ac6db9c3689efe6365cd1bbbb7e48db39772fc6c",
    ("ev_0000000000001", "book", "POST ledger /entries", 0, 1): "postern-38a334b64cd8ef65668e5bd0e2d8d3e640bbf619",
    ("ev_0000000000001", "book", "POST ledger /entries", 1, 0): "postern-3d12932943678aaf6f6f596f1c702751fc5f6b8b",
    ("ev_0000000000001", "book", "POST ledger /entries #2", 0, 0): "postern-82f0bf44a6c437351d9ea691b08d6061731d0d66",
    (
        "ev_0000000000001",
        "notify-team",
        "POST ledger /entries",
        0,
        0,
    ): "postern-3ac25ebad99ceea2a5954b920690d0881118c3a7",
    ("ev_7zzzzzzzzzzzz", "book", "receipt", 12, 345): "postern-502d2e1d3ceb863671fe3b6f5da4b0f9ff968574",
    ("ev_0000000000001", "büch", "beleg – 日本", 0, 0): "postern-70c9e1b7cd6d53914763768d025e0193ea755fa5",
    ("", "", "", 0, 0): "postern-6cd146c71c5712a1c0de856069fa29d6c8b31eb5",
}

Parts = tuple[str, str, str, int, int]
parts = st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.integers(0, 99), st.integers(0, 99))


@pytest.mark.parametrize(("of", "key"), GOLDEN.items())
def test_keys_are_what_they_always_were(of: Parts, key: str) -> None:
    assert idempotency_key(*of) == key


@given(parts)
def test_a_key_fits_every_upstream(of: Parts) -> None:
    key = idempotency_key(*of)
    assert len(key) <= 255
    assert set(key) <= set(string.ascii_lowercase + string.digits + "-")


@given(parts, parts)
def test_other_parts_make_another_key(one: Parts, other: Parts) -> None:
    assert (idempotency_key(*one) == idempotency_key(*other)) is (one == other)


def test_parts_do_not_run_into_each_other() -> None:
    assert idempotency_key("a", "bc", "d", 1, 11) != idempotency_key("ab", "c", "d", 11, 1)
