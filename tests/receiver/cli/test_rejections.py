"""`postern rejections`: why a request was refused, by which clock; and never the signature that was expected."""

import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receiver.cli.conftest import Ended, environment
from tests.support.inside import inside
from tests.support.sender import OTHER_SECRET, SECRET, stripe
from tests.support.stored import Stored, steady, stored
from tests.support.wire import post

Typed = Callable[..., Ended]
SHOP = """
[sources.shop]
scheme = "token"
signature = "header:Authorization"
secrets = ["env:NOT_THERE"]
redeliver = "press Resend"
"""
TOO_LONG = "only 4 of its 70000 bytes are kept; redelivery: press Resend"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stored]:
    (tmp_path / "postern.toml").write_text(SHOP)
    with stored(tmp_path) as shop:
        yield shop


def ids(typed: Typed, folder: Path) -> list[str]:
    return [row["id"] for row in typed(folder, "rejections", "list", "--json").rows]


def test_a_list_tells_cause_and_difference_newest_first(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse("bad_host")
    shop.refuse("timestamp_stale", claimed_ago_s=400.26)
    shop.refuse("timestamp_future", claimed_ago_s=-1000)
    third, second, first = ids(typed, tmp_path)
    ended, at = typed(tmp_path, "rejections", "list"), "2030-01-01T00:00:00Z"
    assert (ended.code, ended.err) == (0, "")
    assert steady(ended.out) == (
        "rejection          received              source  code              difference      bytes  promotable  cause\n"
        f"{third}  {at}  shop    timestamp_future  1000.0 s ahead  2      yes         due to timestamp_future\n"
        f"{second}  {at}  shop    timestamp_stale   400.3 s behind  2      yes         due to timestamp_stale\n"
        f"{first}  {at}  shop    bad_host          -               2      no          due to bad_host\n"
    )


def test_source_code_and_limit_choose(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    for code, source in (("a", "shop"), ("b", "shop"), ("a", "mail")):
        shop.refuse(code, source)

    def listed(*options: str) -> list[tuple[str, str]]:
        rows = typed(tmp_path, "rejections", "list", "--json", *options).rows
        return [(row["code"], row["source"]) for row in rows]

    assert listed("--source", "shop") == [("b", "shop"), ("a", "shop")]
    assert listed("--code", "a") == [("a", "mail"), ("a", "shop")]
    assert listed("--limit", "1") == [("a", "mail")]
    assert listed("--source", "none") == []


def test_show_tells_both_clocks_the_sizes_and_what_to_do(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse("timestamp_stale", body=b"kept", claimed_ago_s=400.26, size_bytes=70000)
    [name] = ids(typed, tmp_path)
    ended = typed(tmp_path, "rejections", "show", name)
    assert steady(ended.out) == (
        f"id            {name}\n"
        "source        shop\n"
        "received_at   2030-01-01T00:00:00Z\n"
        "code          timestamp_stale\n"
        "detail        due to timestamp_stale\n"
        "claimed_at    2030-01-01T00:00:00Z\n"
        "difference_s  400.3 s behind\n"
        "size_bytes    70000\n"
        "kept_bytes    4\n"
        "method        POST\n"
        "scheme        http\n"
        "target        /webhooks/shop\n"
        "promotable    no\n"
        f"why_not       {TOO_LONG}\n"
        "headers\n"
        "  host: localhost\n"
        "next\n"
        "  Either the clock here is wrong (postern doctor), or it was sent again late by a stranger\n"
    )
    [row] = typed(tmp_path, "rejections", "show", name, "--json").rows
    assert row["difference_s"] == 400.26
    assert row["headers"] == [["host", "localhost"]]
    assert row["claimed_at"] < row["received_at"]


def test_a_list_says_what_cannot_be_promoted_and_why(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse("too_large", size_bytes=1 << 21)
    shop.refuse("signature_mismatch", source="gone")
    shop.refuse("signature_mismatch", target="")
    shop.refuse("signature_mismatch", size_bytes=70000, body=b"kept")
    shop.refuse("signature_mismatch", headers=b"host: localhost\nauthorization: [not kept]")
    shop.refuse("signature_mismatch", headers=b"host: localhost\ncookie: [not kept]")
    rows = typed(tmp_path, "rejections", "list", "--json").rows
    assert [(row["promotable"], row["why_not"]) for row in rows] == [
        (True, None),
        (False, "its authorization header, which proves who sent it, is a credential and not kept; "
                "redelivery: press Resend"),
        (False, TOO_LONG),
        (False, "an older version kept it, without its address; redelivery: press Resend"),
        (False, "its source is not configured any more"),
        (False, "it was refused as too_large, which no key changes"),
    ]  # fmt: skip
    notes = typed(tmp_path, "rejections", "list").out.partition("\nnot promotable\n")[2]
    assert f"  {rows[2]['id']}\n    {TOO_LONG}\n" in notes
    assert rows[5]["id"] not in notes  # its cause says it


MISMATCH = (
    "Compare the fingerprints in postern sources with the vendor's secret; while it is rotated, list both in secrets. "
)
THEN = "Then type postern rejections reverify --source "


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ({}, f"{MISMATCH}{THEN}shop"),
        ({"size_bytes": 70000, "body": b"kept"}, f"{MISMATCH}That is for those to come: this one cannot be promoted"),
        ({"source": "gone"}, f"If its vendor is still wanted, add [sources.gone] to postern.toml again. {THEN}gone"),
        ({"source": "odd"}, f"Put [sources.odd] right: type postern config check. {THEN}odd"),
        ({"code": "too_large"}, "If such a body is real, raise max_body_bytes of the source; redelivery: press Resend"),
        ({"code": "id_missing"}, "It was not signed as this source's preset or scheme says: see postern sources"),
        ({"code": "bad_host"}, "No key changes this: put it right where it is sent, or on its way here (a proxy)"),
    ],
)
def test_what_can_really_be_done_comes_next(
    tmp_path: Path, shop: Stored, typed: Typed, refused: dict[str, Any], said: str
) -> None:
    (tmp_path / "postern.toml").write_text(f'{SHOP}[sources.odd]\npreset = "odd"\n')
    shop.refuse(**{"code": "signature_mismatch"} | refused)
    ended = typed(tmp_path, "rejections", "show", *ids(typed, tmp_path))
    assert ended.out.partition("next\n  ")[2] == f"{said}\n"


def test_a_vendor_that_sends_nothing_again_is_quoted_as_such(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text('[sources.line]\npreset = "line"\n')
    shop.refuse(source="line", size_bytes=70000, body=b"kept")
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    assert row["why_not"] == "only 4 of its 70000 bytes are kept; redelivery: there is no way"


def test_of_a_broken_configuration_it_says_so_and_goes_on(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(source="mail")
    (tmp_path / "postern.toml").write_text(f'{SHOP}[sources.mail]\npresett = "github"\n')
    ended = typed(tmp_path, "rejections", "list", "--json")
    said = "postern.toml:8: unknown key 'presett' in [sources.mail]\n  Did you mean 'preset'?"
    assert (ended.code, ended.err) == (0, f"postern: {said}\n  Left out for now: [sources.mail]\n")
    [row] = ended.rows
    assert row["why_not"] == "the configuration is not valid, and [sources.mail] not known"
    assert typed(tmp_path, "rejections", "show", row["id"]).code == 0
    assert typed(tmp_path, "rejections", "reverify", "--source", "shop").err == f"postern: {said}\n"  # needs them


def test_raw_prints_the_bytes_that_were_kept(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    shop.refuse(body=b"\xff\x00\r\n")
    command = [sys.executable, "-m", "receiver", "rejections", "show", *ids(typed, tmp_path), "--raw"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"\xff\x00\r\n", b"")
    ended = typed(tmp_path, "rejections", "show", "rej_1", "--raw", "--json")
    assert (ended.code, ended.err) == (2, "postern: --raw prints bytes, and --json an object\n  Type one of them\n")


@pytest.mark.parametrize("name", ["rej_0000000000001", "nonsense"])
def test_an_unknown_one_is_named(tmp_path: Path, shop: Stored, typed: Typed, name: str) -> None:
    ended = typed(tmp_path, "rejections", "show", name)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"postern: there is no rejection {name!r}\n  Only the newest are kept: type postern rejections list\n"
    )


def test_a_real_refusal_is_kept_without_the_signature_that_was_expected(tmp_path: Path, typed: Typed) -> None:
    body = b'{"id": "evt_1"}'
    headers = stripe(body, OTHER_SECRET)
    with inside(tmp_path) as at:
        assert post(at.port, "/webhooks/stripe", body, headers).status == 401
        at.store.flush()
    [row] = typed(tmp_path, "rejections", "list", "--json").rows
    assert (row["code"], row["source"], row["size_bytes"]) == ("signature_mismatch", "stripe", len(body))
    assert abs(row["difference_s"]) < 5
    stamp = headers[1][1].partition(",")[0].removeprefix("t=").encode()
    expected = hmac.new(SECRET.encode(), stamp + b"." + body, "sha256").hexdigest()
    shown = typed(tmp_path, "rejections", "show", row["id"]).out
    assert headers[1][1] in shown
    assert expected not in shown + json.dumps(row)
    assert SECRET not in shown + json.dumps(row)


def test_a_limit_beyond_a_database_s_numbers_is_wrong_use(tmp_path: Path, shop: Stored, typed: Typed) -> None:
    ended = typed(tmp_path, "rejections", "list", "--limit", "99999999999999999999")
    assert (ended.code, ended.out) == (2, "")
    assert "is not in the range 1<=x<=1000000" in ended.err
