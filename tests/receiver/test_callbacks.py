"""Addresses that are fetched behind an answer. Which may be is for schemes: tests/receiver/schemes/test_aws_sns.py."""

import asyncio
from collections.abc import Callable

import pytest

from receiver.callbacks import AT_ONCE, Callbacks
from receiver.http import httpx

URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=hush"
Respond = Callable[[httpx.Request], httpx.Response]


def fetched(respond: Respond, times: int = 1) -> list[str]:
    """What was asked for, in the end."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return respond(request)

    async def run() -> None:
        callbacks = Callbacks(httpx.MockTransport(answer), (0.0, 0.0, 0.0))
        for _ in range(times):
            callbacks.fetch("topic", URL)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
            await asyncio.sleep(0)

    asyncio.run(run())
    return asked


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level("INFO", "postern.intake")

    def messages() -> str:
        assert "hush" not in "".join(str(vars(record)) for record in caplog.records)
        return " ".join(record.getMessage() for record in caplog.records if record.name == "postern.intake")

    return messages


def test_an_address_is_fetched_once_and_the_log_says_so(told: Callable[[], str]) -> None:
    assert fetched(lambda request: httpx.Response(200)) == [URL]
    assert told() == "a handshake was confirmed"


def test_it_is_tried_three_times(told: Callable[[], str]) -> None:
    assert fetched(lambda request: httpx.Response(500)) == [URL] * 3
    assert told() == "a handshake was not confirmed: it answered 500"


def test_a_redirect_is_not_followed(told: Callable[[], str]) -> None:
    respond: Respond = lambda request: httpx.Response(302, headers={"location": "http://169.254.169.254/"})  # noqa: E731  a fake
    assert set(fetched(respond)) == {URL}
    assert told() == "a handshake was not confirmed: it answered 302"


def test_what_goes_wrong_is_told_without_the_address(told: Callable[[], str]) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url}")

    assert fetched(broken) == [URL] * 3
    assert told() == "a handshake was not confirmed: ConnectError"


def test_only_so_many_are_under_way_at_once(told: Callable[[], str]) -> None:
    assert len(fetched(lambda request: httpx.Response(200), times=AT_ONCE + 2)) == AT_ONCE
    assert told().count("too many at once") == 2
