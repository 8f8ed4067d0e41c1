"""What a preset signs it verifies, whatever the bytes; what differs in one byte it refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.schemes import Refused
from tests.receiver.schemes.deliveries import (
    HMACS,
    NOW,
    SIGNATURES,
    acme,
    key_of,
    refusal,
    request,
    signed,
    vendor,
    verified,
    with_header,
)

BODY = b'{"id": "evt_1"}'
# Hex, base64 and text.
SECRET, OTHER_SECRET = b"5a" * 32, b"a5" * 32
every_hmac = pytest.mark.parametrize("name", HMACS)
some = settings(max_examples=20, deadline=None)  # for each of some forty


# A brace before any bytes: what looks like a handshake's text is no delivery.
@every_hmac
@some
@given(body=st.binary(max_size=2048).map(b"{%b".__mod__), now=st.floats(0, 2e9))
def test_whatever_is_signed_verifies(name: str, body: bytes, now: float) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRET)
    taken = request(signed(scheme, key, body, now), body)
    assert scheme.verify(taken, [key], now).key is key
    assert len(scheme.identify(taken)) == 1


@every_hmac
@some
@given(body=st.binary(min_size=1, max_size=512), at=st.integers(0), flip=st.integers(1, 255))
def test_one_other_byte_in_the_body_is_refused(name: str, body: bytes, at: int, flip: int) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRET)
    headers = signed(scheme, key, body)
    altered = bytearray(body)
    altered[at % len(body)] ^= flip
    assert refusal(scheme, key, headers, bytes(altered)).code == "signature_mismatch"


@every_hmac
@some
@given(value=st.binary(max_size=200))
def test_no_made_up_signature_is_taken_or_breaks_anything(name: str, value: bytes) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRET)
    headers = with_header(signed(scheme, key, BODY), SIGNATURES[name], value)
    with pytest.raises(Refused):
        verified(scheme, key, headers, BODY)


@every_hmac
def test_during_a_rotation_either_secret_verifies_and_the_answer_tells_which(name: str) -> None:
    scheme = vendor(name)
    new, old = key_of(scheme, OTHER_SECRET, "env:NEW"), key_of(scheme, SECRET, "env:OLD")
    for key in (new, old):
        taken = request(signed(scheme, key, BODY), BODY)
        assert scheme.verify(taken, [new, old], NOW).key is key
    assert refusal(scheme, new, signed(scheme, old, BODY), BODY).code == "signature_mismatch"


@pytest.mark.parametrize(("name", "join"), [("stripe", "{},{}"), ("standardwebhooks", "{} {}")])
def test_a_vendor_that_rotates_sends_both_signatures_in_one_header(name: str, join: str) -> None:
    scheme, header = vendor(name), SIGNATURES[name]
    new, old = key_of(scheme, OTHER_SECRET, "env:NEW"), key_of(scheme, SECRET, "env:OLD")
    headers = signed(scheme, new, BODY)
    by_old = dict(signed(scheme, old, BODY))[header].removeprefix(f"t={NOW:.0f},")
    both = with_header(headers, header, join.format(dict(headers)[header], by_old))
    for key in (new, old):
        assert verified(scheme, key, both, BODY).key is key


@pytest.mark.parametrize("hash", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("unit", ["s", "ms", "iso"])
@settings(deadline=None)
@given(body=st.binary(max_size=64), now=st.floats(0, 2e9))
def test_every_hash_encoding_and_unit_verifies_what_it_signs(
    hash: str, encoding: str, unit: str, body: bytes, now: float
) -> None:
    scheme = acme(
        hash=hash,
        encoding=encoding,
        timestamp="header:X-Acme-Time",
        timestamp_unit=unit,
        content="{timestamp}{body}",
    )
    key = key_of(scheme)
    taken = request(scheme.sign(body, key, now, url="", id=None, type=None).headers, body)
    signed_at = scheme.verify(taken, [key], now).signed_at
    assert signed_at is not None
    assert abs(signed_at - now) <= (1 if unit == "s" else 0.001)
