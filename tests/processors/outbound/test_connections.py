"""Which connection a call is given, and when one is closed. The connections are httpx clients that go nowhere."""

import asyncio
from functools import partial

import pytest

from processors.outbound.connections import AT_ONCE, KEPT_S, Connections
from receiver.http import httpx


def connections(wait_s: float = 10.0, at: list[float] | None = None) -> Connections:
    nowhere = httpx.MockTransport(lambda request: httpx.Response(200))
    return Connections(partial(httpx.AsyncClient, transport=nowhere), wait_s, clock=lambda: at[-1] if at else 0.0)


async def used(of: Connections) -> httpx.AsyncClient:
    async with of.one() as connection:
        return connection


def test_one_call_after_the_other_uses_the_same_one() -> None:
    async def work() -> None:
        ours = connections()
        assert await used(ours) is await used(ours)
        await ours.aclose()

    asyncio.run(work())


def test_calls_at_once_have_one_each_and_the_last_used_is_taken_first() -> None:
    async def work() -> None:
        ours = connections()
        async with ours.one() as first:
            second = await used(ours)
            assert first is not second
        assert await used(ours) is first
        await ours.aclose()

    asyncio.run(work())


@pytest.mark.parametrize("error", [httpx.ReadError(""), asyncio.CancelledError()])
def test_after_an_error_it_is_closed_and_the_next_call_has_another(error: BaseException) -> None:
    async def work() -> None:
        ours = connections()
        with pytest.raises(type(error)):
            async with ours.one() as broken:
                raise error
        assert broken.is_closed
        assert await used(ours) is not broken
        await ours.aclose()

    asyncio.run(work())


def test_what_nobody_used_for_some_seconds_is_closed_at_the_next_call() -> None:
    async def work() -> None:
        at = [0.0]
        ours = connections(at=at)
        async with ours.one() as last:
            old = await used(ours)
            at.append(1.0)
        at.append(KEPT_S + 0.5)
        assert (await used(ours), old.is_closed, last.is_closed) == (last, True, False)
        await ours.aclose()

    asyncio.run(work())


def test_there_are_so_many_at_once_and_then_a_call_waits_for_one() -> None:
    async def work() -> None:
        ours = connections()
        holding = await held(ours)
        waiting = asyncio.create_task(used(ours))
        await asyncio.sleep(0)
        assert not waiting.done()
        holding[0].cancel()
        assert not (await waiting).is_closed
        await ended(holding)
        await ours.aclose()

    asyncio.run(work())


def test_a_call_that_gets_none_in_time_was_not_sent() -> None:
    async def work() -> None:
        ours = connections(wait_s=0.01)
        holding = await held(ours)
        with pytest.raises(httpx.PoolTimeout, match="all 100 connections are in use"):
            await used(ours)
        await ended(holding)
        await ours.aclose()

    asyncio.run(work())


def test_at_the_end_all_are_closed_also_those_in_use() -> None:
    async def work() -> None:
        ours = connections()
        async with ours.one() as busy:
            unused = await used(ours)
            await ours.aclose()
            assert (busy.is_closed, unused.is_closed) == (True, True)

    asyncio.run(work())


async def held(ours: Connections) -> list["asyncio.Task[None]"]:
    """Every connection, by a task each."""

    async def hold(taken: asyncio.Semaphore) -> None:
        async with ours.one():
            taken.release()
            await asyncio.Event().wait()

    taken = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(hold(taken)) for _ in range(AT_ONCE)]
    for _ in tasks:
        await taken.acquire()
    return tasks


async def ended(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
