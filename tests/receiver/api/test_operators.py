"""Who gets into /v1, and who does not."""

from collections.abc import Iterator

import pytest

from tests.support.inside import STRIPE, Inside, inside
from tests.support.wire import get


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("guarded"), 'admin_token = "literal:op\u00e9rators"\n' + STRIPE) as it:
        yield it


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer operators",
        "Bearer op\u00e9rator",
        "Basic op\u00e9rators",
        "op\u00e9rators",
        "Bearer None",
        "Bearer \xff\xfe",
    ],
)
def test_without_the_token_everybody_is_refused(guarded: Inside, authorization: str | None) -> None:
    headers = [] if authorization is None else [("Authorization", authorization)]
    answer = get(guarded.port, "/v1/events", headers)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens(guarded: Inside, scheme: str) -> None:
    token = "op\u00e9rators".encode().decode("latin-1")  # headers are bytes: these are the token's in UTF-8
    assert get(guarded.port, "/v1/events", [("Authorization", f"{scheme} {token}")]).status == 501


def test_without_a_configured_token_nobody_gets_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    with inside(tmp_path_factory.mktemp("open")) as receiver:
        for authorization in ("Bearer ", "Bearer None", "Bearer x"):
            assert get(receiver.port, "/v1/events", [("Authorization", authorization)]).status == 401
