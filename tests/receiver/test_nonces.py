"""What may be used once: remembered with its body, boundedly, and given back where nothing was stored."""

import pytest

from receiver.nonces import Nonces
from receiver.schemes import Refused


def test_a_nonce_is_good_for_one_body_of_one_source() -> None:
    nonces = Nonces()
    assert nonces.use("mailgun", b"n", b"body")
    assert nonces.use("mailgun", b"n", b"body") is None
    with pytest.raises(Refused) as caught:
        nonces.use("mailgun", b"n", b"another")
    assert caught.value.code == "nonce_reused"
    assert nonces.use("other", b"n", b"another")
    assert nonces.use("mailgun", b"m", b"another")


def test_a_released_one_is_good_again() -> None:
    nonces = Nonces()
    used = nonces.use("mailgun", b"n", b"body")
    assert used
    nonces.release(used)
    assert nonces.use("mailgun", b"n", b"another")


def test_only_the_newest_are_kept() -> None:
    nonces = Nonces(most=2)
    for nonce in (b"1", b"2", b"3"):
        assert nonces.use("mailgun", nonce, b"body")
    assert nonces.use("mailgun", b"1", b"another")
    with pytest.raises(Refused):
        nonces.use("mailgun", b"3", b"another")
