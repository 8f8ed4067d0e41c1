"""Ids grow, whatever the clock does, and their text sorts like the number."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from receiver.store.ids import Ids, number, text

NOW_NS = 1_700_000_000_000_000_000


def test_ids_grow_while_the_clock_stands_still() -> None:
    ids = Ids(lambda: NOW_NS)
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_grow_while_the_clock_goes_back() -> None:
    times = iter([NOW_NS, NOW_NS - 3_600_000_000_000, NOW_NS - 7_200_000_000_000, NOW_NS + 1_000_000_000])
    ids = Ids(lambda: next(times))
    made = [ids.next() for _ in range(4)]
    assert made == sorted(set(made))


def test_an_id_begins_with_its_time() -> None:
    early, late = Ids(lambda: NOW_NS).next(), Ids(lambda: NOW_NS + 1_000_000).next()
    assert early < late
    assert early >> 21 == NOW_NS // 1_000_000


def test_two_processes_rarely_have_the_same_idea() -> None:
    made = {Ids(lambda: NOW_NS).next() for _ in range(100)}
    assert len(made) > 90


def test_two_processes_rarely_meet_where_the_clock_stands_still() -> None:
    first, second = Ids(lambda: NOW_NS), Ids(lambda: NOW_NS)
    made = {first.next() for _ in range(5000)}
    met = sum(second.next() in made for _ in range(5000))
    assert met < 50


def test_threads_share_ids_without_meeting() -> None:
    ids = Ids()
    with ThreadPoolExecutor(4) as threads:
        made = [id for part in threads.map(lambda _: [ids.next() for _ in range(5000)], range(4)) for id in part]
    assert len(set(made)) == 20_000


def test_an_id_is_positive_and_fits_into_63_bits_until_2100() -> None:
    assert 0 < Ids(lambda: 4_102_444_800_000_000_000).next() < 1 << 63


@pytest.mark.parametrize("value", [0, 1, 31, 32, 1 << 60, (1 << 63) - 1])
def test_text_and_number_are_each_other_s_inverse(value: int) -> None:
    assert number("ev", text("ev", value)) == value


def test_texts_sort_like_their_numbers() -> None:
    chance = random.Random(1)
    values = sorted(chance.randrange(1 << 63) for _ in range(1000))
    assert [text("ev", value) for value in values] == sorted(text("ev", value) for value in values)


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "ev_",
        "ev_000000000000",
        "ev_00000000000000",
        "run_0000000000001",
        "ev_000000000000u",
        "ev_000000000000A",
        "ev_zzzzzzzzzzzzz",
        "0000000000001",
        "stripe:evt_1",
    ],
)
def test_what_is_no_id_is_none(shown: str) -> None:
    assert number("ev", shown) is None
