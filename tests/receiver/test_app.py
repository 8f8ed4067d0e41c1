"""Which address leads where, on one port and on two."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sender
from tests.support.inside import PATH, STRIPE, Inside, inside
from tests.support.wire import ask, get, post, request

APART = 'admin_token = "literal:operators"\n[server]\nadmin_port = 1\n' + STRIPE
BEARER = [("Authorization", "Bearer operators")]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("together")) as it:
        yield it


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("apart"), APART) as it:
        yield it


def test_without_an_admin_port_everything_is_on_one(together: Inside) -> None:
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/events", 401)):
        assert get(together.port, path).status == status


def test_with_an_admin_port_vendors_reach_nothing_of_the_operators(apart: Inside) -> None:
    assert apart.admin_port is not None
    for path in ("/metrics", "/v1/events", "/v1", "/docs"):
        assert get(apart.port, path, BEARER).code == "not_found"
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/events", 501)):
        assert get(apart.admin_port, path, BEARER).status == status


def test_deliveries_go_to_the_public_port_only(apart: Inside) -> None:
    assert apart.admin_port is not None
    body = sender.stripe_event("evt_ports")
    assert post(apart.admin_port, PATH, body, sender.stripe(body)).code == "not_found"
    assert post(apart.port, PATH, body, sender.stripe(body)).status == 200


@pytest.mark.parametrize("path", ["/", "/nope", "/webhooks", PATH + "/", PATH + "/x", "/healthz/", "//", "/webhooks//"])
def test_an_unknown_path_is_a_problem_and_never_a_redirect(together: Inside, path: str) -> None:
    for method in ("GET", "POST"):
        answer = ask(together.port, request(path, method=method))
        assert (answer.status, answer.code) == (404, "not_found")
        assert "location" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_another_method_is_told_which_ones_there_are(together: Inside, path: str) -> None:
    answer = ask(together.port, request(path, method="POST"))
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_head_request_is_answered_without_a_body(together: Inside) -> None:
    data = request("/healthz", method="HEAD") + request("/healthz", method="GET")
    first = ask(together.port, data, head=True)
    assert (first.status, first.headers["content-length"]) == (200, "18")


def test_the_path_of_a_source_may_be_percent_encoded(together: Inside, tmp_path: Path) -> None:
    body = sender.stripe_event("evt_percent")
    assert post(together.port, "/webhooks/%73tripe", body, sender.stripe(body)).status == 200
