"""How an upstream knows us: each kind, on the request that leaves."""

import asyncio
from pathlib import Path

import pytest

from processors.outbound.upstream import Upstreams, make_call
from receiver.errors import UserError
from receiver.http import httpx
from tests.processors.bench import Apis, settings_of


def request_with(root: Path, auth: str, **environ: str) -> httpx.Request:
    apis = Apis([200])
    settings = settings_of(root, f'[apis.ledger]\nbase_url = "http://ledger.test"\nauth = {auth}', **environ)

    async def work() -> None:
        upstreams = Upstreams(settings, apis.transports)
        await upstreams.get("ledger").send(make_call("ledger", "POST", "/x?a=b"), key=None, correlation="")
        await upstreams.aclose()

    asyncio.run(work())
    return apis.calls[0]


def test_bearer(tmp_path: Path) -> None:
    request = request_with(tmp_path, '{type = "bearer", token = "env:TOKEN"}', TOKEN="t-1")
    assert request.headers["authorization"] == "Bearer t-1"


def test_basic(tmp_path: Path) -> None:
    request = request_with(tmp_path, '{type = "basic", username = "us", password = "env:PASSWORD"}', PASSWORD="p:w")
    assert request.headers["authorization"] == "Basic dXM6cDp3"


def test_basic_with_a_secret_username(tmp_path: Path) -> None:
    auth = '{type = "basic", username = "env:WHO", password = "literal:p"}'
    assert request_with(tmp_path, auth, WHO="us").headers["authorization"] == "Basic dXM6cA=="


def test_an_api_key_in_a_header(tmp_path: Path) -> None:
    assert request_with(tmp_path, '{type = "api_key", key = "literal:k"}').headers["x-api-key"] == "k"
    request = request_with(tmp_path, '{type = "api_key", key = "literal:k", header = "X-Token"}')
    assert (request.headers["x-token"], "x-api-key" in request.headers) == ("k", False)


def test_an_api_key_in_the_query(tmp_path: Path) -> None:
    request = request_with(tmp_path, '{type = "api_key", key = "literal:k&y", query = "token"}')
    assert str(request.url) == "http://ledger.test/x?a=b&token=k%26y"
    assert "x-api-key" not in request.headers


@pytest.mark.parametrize(
    ("auth", "where"),
    [
        ('{type = "bearer", token = "env:GONE"}', "auth.token"),
        ('{type = "basic", username = "env:GONE", password = "literal:p"}', "auth.username"),
        ('{type = "basic", username = "us", password = "env:GONE"}', "auth.password"),
        ('{type = "api_key", key = "env:GONE"}', "auth.key"),
    ],
)
def test_a_missing_secret_names_its_key(auth: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        request_with(tmp_path, auth)
    assert caught.value.where == f"[apis.ledger] {where}"


@pytest.mark.parametrize("secret", ["t-1\n", "t\r\nX-Admin: 1", " t", "é"])
@pytest.mark.parametrize("auth", ['{type = "bearer", token = "env:T"}', '{type = "api_key", key = "env:T"}'])
def test_a_secret_that_cannot_stand_in_a_header_is_found_before_anything_is_sent(
    auth: str, secret: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="cannot stand in a header"):
        request_with(tmp_path, auth, T=secret)
