"""`postern sources`: what a vendor has to be told, and which keys verify; with and without a store."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.receiver.cli.conftest import Ended
from tests.support.stored import now_us, steady, stored

Typed = Callable[..., Ended]
CONFIG = """
[server]
port = 8123
[sources.stripe]
preset = "stripe"
secrets = ["env:NEW", "env:OLD"]
[sources.acme]
scheme = "hmac"
signature = "header:X-Acme"
public_url = "https://elsewhere.example/in?tenant=1"
"""
SECRET = "whsec_of_the_tests"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "postern.toml").write_text(CONFIG)
    return tmp_path


def test_each_source_tells_address_keys_cover_and_last_accepted(folder: Path, typed: Typed) -> None:
    with stored(folder) as shop:
        shop.arrive(source="stripe")
        ended = typed(folder, "sources", environ={"NEW": SECRET, "OLD": ""})
    fingerprint = hashlib.sha256(SECRET.encode()).hexdigest()[:8]
    assert (ended.code, ended.err) == (0, "")
    assert steady(ended.out) == (
        "stripe  (stripe, hmac)\n"
        "  address        http://127.0.0.1:8123/webhooks/stripe\n"
        f"  keys           env:NEW ({fingerprint})\n"
        "                 env:OLD (the variable OLD is empty)\n"
        "  covers         the body and the time\n"
        "  last accepted  2030-01-01T00:00:00Z\n"
        "  retries        live mode: for up to three days, ever more slowly; test mode:"
        " three times within a few hours\n"
        "  docs           https://docs.stripe.com/webhooks\n"
        "acme  (hmac)\n"
        "  address        https://elsewhere.example/in?tenant=1\n"
        "  keys           none: it accepts nothing\n"
        "  covers         {body}\n"
        "  last accepted  never\n"
    )
    assert SECRET not in ended.out


def test_a_source_shows_public_keys_its_vendors_keys_and_what_it_lacks(tmp_path: Path, typed: Typed) -> None:
    key = "aa" * 32
    (tmp_path / "postern.toml").write_text(
        f'[sources.discord]\npreset = "discord"\npublic_keys = ["literal:{key}"]\n'
        '[sources.paypal]\npreset = "paypal"\n'
        '[sources.token]\nscheme = "token"\nsignature = "header:X-Token"\nsecrets = ["literal:x"]\n'
    )
    out = typed(tmp_path, "sources").out
    assert "discord  (discord, ed25519)\n" in out
    assert f"  keys           literal:… ({hashlib.sha256(key.encode()).hexdigest()[:8]})\n" in out
    assert "paypal  (paypal)\n" in out
    assert (
        "  keys           none of ours: the vendor's are asked for\n  lacks          webhook_id: it accepts nothing\n"
    ) in out
    assert "token  (token)\n" in out
    assert "  covers         nothing: the token comes with each request\n" in out


def test_what_each_key_has_verified_is_told_with_its_end(folder: Path, typed: Typed) -> None:
    config = CONFIG.replace('"env:OLD"', '{ref = "env:OLD", not_after = 2999-12-01T00:00:00Z}')
    (folder / "postern.toml").write_text(config)
    with stored(folder) as shop:
        for key in ("env:OLD (00000000)", "env:NEW (11111111)", "env:NEW (11111111)", "env:GONE (22222222)"):
            shop.store.activity.accepted("stripe", now_us(), key)
        shop.store.flush()
        ended = typed(folder, "sources", environ={"NEW": SECRET, "OLD": SECRET})
        [stripe, _] = typed(folder, "sources", "--json").rows
    assert (
        "  verified       2 by env:NEW (11111111), the last at 2030-01-01T00:00:00Z\n"
        "                 1 by env:OLD (00000000), the last at 2030-01-01T00:00:00Z; ends at 2030-01-01T00:00:00Z\n"
    ) in steady(ended.out)
    assert [(used["key"], used["verified"], used["not_after"]) for used in stripe["usage"]] == [
        ("env:NEW (11111111)", 2, None),
        ("env:OLD (00000000)", 1, "2999-12-01T00:00:00Z"),
    ]


def test_no_store_is_no_reason_to_say_nothing(folder: Path, typed: Typed) -> None:
    ended = typed(folder, "sources", "--json")
    assert (ended.code, ended.err) == (0, "")
    stripe, acme = ended.rows
    assert (stripe["name"], stripe["address"]) == ("stripe", "http://127.0.0.1:8123/webhooks/stripe")
    assert stripe["keys"] == ["env:NEW (the variable NEW is not set)", "env:OLD (the variable OLD is not set)"]
    assert (acme["scheme"], acme["keys"], acme["last_accepted_at"]) == ("hmac", [], None)


def test_the_address_is_the_public_one_else_that_of_the_live_receiver(folder: Path, typed: Typed) -> None:
    def address(**environ: str) -> str:
        return str(typed(folder, "sources", "--json", environ=environ).rows[0]["address"])

    with stored(folder) as shop:
        number = shop.receiver("http://127.0.0.1:4711")
        assert address() == "http://127.0.0.1:4711/webhooks/stripe"
        assert address(POSTERN_PUBLIC_URL="https://hooks.example/") == "https://hooks.example/webhooks/stripe"
        shop.sql("UPDATE process SET stopped_at = seen_at WHERE id = :id", id=number)
        assert address() == "http://127.0.0.1:8123/webhooks/stripe"
        assert address(POSTERN_SERVER__HOST="::") == "http://[::1]:8123/webhooks/stripe"


def test_without_a_source_it_says_how_to_add_one(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "sources")
    assert (ended.code, ended.err) == (
        1, "postern: no source is configured\n  Add [sources.NAME] to postern.toml, or type postern init\n",
    )  # fmt: skip
