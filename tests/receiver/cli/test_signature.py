"""`postern doctor signature`: rejections as intake kept them and requests in files; the causes are tested elsewhere."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.receiver.cli.conftest import Ended
from tests.support.sender import OTHER_SECRET, SECRET, Pairs, github, stripe, stripe_event
from tests.support.stored import Stored, stored

Typed = Callable[..., Ended]
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw().hex()
SOURCES = f"""
[sources.stripe]
preset = "stripe"
secrets = ["literal:{SECRET}"]
[sources.test-mode]
preset = "stripe"
secrets = ["literal:{OTHER_SECRET}", "env:NOT_THERE"]
[sources.square]
preset = "square"
secrets = ["literal:{SECRET}"]
[sources.rotated]
preset = "stripe"
secrets = [{{ref = "literal:{SECRET}", not_after = 2020-01-01T00:00:00Z}}]
[sources.discord]
preset = "discord"
public_keys = ["literal:{PUBLIC}"]
"""
BODY = stripe_event("evt_1")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    (tmp_path / "postern.toml").write_text(SOURCES)
    with stored(tmp_path) as shop:
        yield shop


def lines(headers: Pairs) -> bytes:
    return b"\n".join(f"{name.lower()}: {value}".encode() for name, value in [("Host", "localhost"), *headers])


def captured(folder: Path, headers: Pairs, body: bytes = BODY, end: bytes = b"\r\n", path: str = "stripe") -> str:
    head = b"POST /webhooks/%b HTTP/1.1\n%b\n\n" % (path.encode(), lines(headers))
    (folder / "request").write_bytes(head.replace(b"\n", end) + body)
    return "request"


def test_a_rejection_is_explained(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(source="stripe", body=BODY, headers=lines(stripe(BODY, OTHER_SECRET)))
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    ended = typed(tmp_path, "doctor", "signature", row["id"])
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "it is signed with literal:…, the secret of the source test-mode\n"
        "  Have it sent to /webhooks/test-mode, or give stripe that secret\n"
    )
    [cause] = typed(tmp_path, "doctor", "signature", row["id"], "--json").rows
    assert (cause["source"], cause["code"]) == ("stripe", "signature_mismatch")
    assert SECRET not in json.dumps(cause)


def test_what_is_right_today_can_be_promoted(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(source="stripe", body=BODY, headers=lines(stripe(BODY)))
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    ended = typed(tmp_path, "doctor", "signature", row["id"])
    assert ended.out == "the signature is right now\n  Type postern rejections reverify --source stripe\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_request_in_a_file_is_explained(tmp_path: Path, shop: Stored, typed: Typed, end: bytes) -> None:
    file = captured(tmp_path, stripe(BODY), BODY + b"\n", end)
    ended = typed(tmp_path, "doctor", "signature", file)
    assert (ended.code, ended.err) == (0, "")
    assert "a newline was added at its end" in ended.out


def test_the_file_says_the_source_unless_it_is_named(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    file = captured(tmp_path, stripe(BODY, OTHER_SECRET), path="somewhere")
    assert "no source 'somewhere'" in typed(tmp_path, "doctor", "signature", file).err
    assert "right now" not in typed(tmp_path, "doctor", "signature", file, "--source", "stripe").out


def test_a_file_without_an_address_needs_the_source(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    (tmp_path / "request").write_bytes(b"POST / HTTP/1.1\nhost: x\n\n{}")
    ended = typed(tmp_path, "doctor", "signature", "request")
    assert (ended.code, ended.err) == (
        2,
        "postern: which source request was sent to cannot be seen\n  Add --source NAME\n",
    )


def test_when_it_came_can_be_said(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    file = captured(tmp_path, stripe(BODY, at=1_700_000_000))
    assert "our clock was" in typed(tmp_path, "doctor", "signature", file).out
    ended = typed(tmp_path, "doctor", "signature", file, "--at", "2023-11-14T22:13:21Z")
    assert "the signature is right" in ended.out


def test_another_vendors_request_is_known(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    ended = typed(tmp_path, "doctor", "signature", captured(tmp_path, github(BODY, "d-1")))
    assert "as the preset github says" in ended.out


def test_what_nothing_explains_exits_1(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    ended = typed(tmp_path, "doctor", "signature", captured(tmp_path, stripe(BODY, "whsec_of_nobody")))
    assert (ended.code, ended.err) == (1, "")
    assert "nothing that is known of makes it fit; it has stripe-signature" in ended.out


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rej_0000000000001", "there is no rejection 'rej_0000000000001'"),
        ("nowhere", "nowhere cannot be read: No such file or directory"),
        ("postern.toml", "postern.toml holds no HTTP request"),
    ],
)
def test_what_is_no_request_is_named(tmp_path: Path, shop: Stored, typed: Typed, name: str, what: str) -> None:
    ended = typed(tmp_path, "doctor", "signature", name)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"postern: {what}\n  ")


def test_of_a_body_that_is_cut_nothing_can_be_said(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(source="stripe", body=b"{", size_bytes=70000, headers=lines(stripe(BODY)))
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    assert "only 1 of 70000 bytes are kept" in typed(tmp_path, "doctor", "signature", row["id"]).err


def test_a_secret_that_has_ended_is_named(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    ended = typed(tmp_path, "doctor", "signature", captured(tmp_path, stripe(BODY), path="rotated"))
    assert ended.out.startswith("it is signed with literal:…, which has ended\n")


def test_what_was_refused_for_another_reason_is_not_the_signatures_fault(
    tmp_path: Path, shop: Stored, typed: Typed
) -> None:
    shop.refuse("encoded_body", source="stripe", body=BODY, headers=lines(stripe(BODY)))
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    ended = typed(tmp_path, "doctor", "signature", row["id"])
    assert ended.out == (
        f"it was refused as encoded_body, and not for its signature\n  Type postern rejections show {row['id']}\n"
    )


def test_public_keys_count_as_well(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    at = "1700000000"
    signature = PRIVATE.sign(at.encode() + BODY).hex()
    headers = [("X-Signature-Ed25519", signature), ("X-Signature-Timestamp", at)]
    ended = typed(tmp_path, "doctor", "signature", captured(tmp_path, headers, path="discord"))
    assert "the signature is right, but our clock was" in ended.out


def test_an_address_that_is_none_is_no_trouble(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(source="square", body=BODY, headers=b"host: [\nx-square-hmacsha256-signature: " + b"A" * 43 + b"=")
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    assert "nothing that is known of makes it fit" in typed(tmp_path, "doctor", "signature", row["id"]).out
