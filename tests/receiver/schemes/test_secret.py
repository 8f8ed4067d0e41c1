"""From a secret's text to a key, without ever showing it."""

import hashlib

import pytest

from receiver.errors import UserError
from receiver.schemes import Key
from receiver.schemes.secret import make_key


def decoded(secret: bytes, encoding: str, prefix: str = "") -> bytes:
    return make_key("env:SECRET", secret, prefix, encoding, "here").secret


def test_a_secret_is_decoded_once_the_way_its_vendor_means_it() -> None:
    assert decoded(b"whsec_c2VjcmV0", "utf8") == b"whsec_c2VjcmV0"
    assert decoded(b"whsec_c2VjcmV0", "base64", "whsec_") == b"secret"
    assert decoded(b"c2VjcmV0", "base64", "whsec_") == b"secret"
    assert decoded(b"736563526574", "hex") == b"secRet"
    assert decoded("é".encode(), "utf8") == "é".encode()


@pytest.mark.parametrize("secret", [b"c2VjcmV0cw==", b"c2VjcmV0cw=", b"c2VjcmV0cw"])
def test_padding_may_be_missing(secret: bytes) -> None:
    assert decoded(secret, "base64") == b"secrets"


@pytest.mark.parametrize(
    ("secret", "encoding"),
    [(b"not base64!", "base64"), (b"c2Vj cmV0", "base64"), (b"c2VjcmV0\n", "base64"), (b"c2Vjc", "base64"),
     (b"\xff\xfe", "base64"), (b"c2=VjcmV0", "base64"), (b"abc", "hex"), (b"73 65", "hex"), (b"xy", "hex"),
     ("７３".encode(), "hex")],
)  # fmt: skip
def test_a_secret_that_does_not_decode_is_an_error_that_does_not_show_it(secret: bytes, encoding: str) -> None:
    with pytest.raises(UserError) as caught:
        make_key("env:SECRET", secret, "", encoding, "[sources.acme] secrets[0]")
    error = caught.value
    assert (error.what, error.where) == (
        f"the secret env:SECRET is not {encoding}",
        "[sources.acme] secrets[0]",
    )
    assert secret.decode(errors="replace") not in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize(("secret", "prefix"), [(b"", ""), (b"whsec_", "whsec_")])
@pytest.mark.parametrize("encoding", ["utf8", "hex", "base64"])
def test_a_secret_of_nothing_but_its_prefix_is_an_error(secret: bytes, prefix: str, encoding: str) -> None:
    with pytest.raises(UserError, match="is empty"):
        make_key("env:SECRET", secret, prefix, encoding, "here")


def test_a_key_shows_where_it_came_from_and_its_fingerprint_only() -> None:
    key = Key("env:SECRET", b"hush")
    assert key.fingerprint == hashlib.sha256(b"hush").hexdigest()[:8]
    assert key.shown == f"env:SECRET ({key.fingerprint})"
    assert "hush" not in repr(key)
