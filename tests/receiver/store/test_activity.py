"""What is gathered of each source in memory, and what of it reaches the store."""

import threading

import pytest

from receiver.store.activity import KEPT, WAITING_BYTES, Activity, Refusal


def refusal(
    source: str = "stripe", body: bytes = b"{}", headers: bytes = b"", code: str = "signature_mismatch"
) -> Refusal:
    return Refusal(source, 1, code, "why", None, len(body), headers, body)


def bodies(activity: Activity, source: str) -> list[bytes]:
    return [refused.body for refused in activity.take().refusals.get(source, [])]


def drained(activity: Activity) -> dict[str, list[Refusal]]:
    """All that further flushes bring."""
    found: dict[str, list[Refusal]] = {}
    while activity:
        for source, refusals in activity.take().refusals.items():
            found.setdefault(source, []).extend(refusals)
    return found


def test_nothing_noted_is_nothing_to_write() -> None:
    assert not Activity()
    assert Activity().take().counts == {}


def test_counts_are_taken_once() -> None:
    activity = Activity()
    activity.accepted("stripe", 10, "env:A")
    activity.duplicate("stripe", 7, 20, "env:B", differs=True)
    activity.refused(refusal())
    counts = activity.take().counts["stripe"]
    assert (counts.accepted, counts.duplicates, counts.differing, counts.refused) == (1, 1, 1, 1)
    assert [(key, used.verified, used.last_us) for key, used in counts.keys.items()] == [
        ("env:A", 1, 10),
        ("env:B", 1, 20),
    ]
    assert counts.last_accepted_us == 10
    assert not activity


def test_a_refusal_after_an_acceptance_is_the_first_since_then() -> None:
    activity = Activity()
    activity.refused(refusal())
    activity.accepted("stripe", 10, "env:A")
    activity.refused(refusal())
    assert activity.take().counts["stripe"].refused_since_accepted == 1


def test_a_source_s_newest_thousand_wait_in_the_order_they_came() -> None:
    activity = Activity()
    for number in range(KEPT + 500):
        activity.refused(refusal(body=b"%d" % number))
    assert bodies(activity, "stripe") == [b"%d" % number for number in range(500, KEPT + 500)]


@pytest.mark.parametrize("large", [refusal(body=b"x" * 65536), refusal(headers=b"x" * 65536)], ids=["body", "headers"])
def test_large_rejections_wait_within_bounds(large: Refusal) -> None:
    activity = Activity()
    for _ in range(3000):
        activity.refused(large)
    waiting = [refused for refusals in drained(activity).values() for refused in refusals]
    assert sum(refused.kept_bytes for refused in waiting) <= WAITING_BYTES
    assert len(waiting) > 900


def test_one_flush_writes_a_little_of_every_source_and_the_next_ones_the_rest() -> None:
    activity = Activity()
    for _ in range(400):
        activity.refused(refusal("flooded", body=b"x" * 65536))
    activity.refused(refusal("quiet", body=b"heard"))
    first = activity.take()
    assert [refused.body for refused in first.refusals["quiet"]] == [b"heard"]
    assert 0 < len(first.refusals["flooded"]) < 100
    assert len(first.refusals["flooded"]) + len(drained(activity)["flooded"]) == 400


def test_a_flood_of_one_source_does_not_push_out_another_s_rejections() -> None:
    activity = Activity()
    for number in range(200):
        activity.refused(refusal("quiet", body=b"%d" % number))
        for _ in range(10):
            activity.refused(refusal("flooded", body=b"x" * 65536))
    assert [refused.body for refused in drained(activity)["quiet"]] == [b"%d" % number for number in range(200)]


def test_what_could_not_be_written_is_put_back_and_joins_what_came_since() -> None:
    activity = Activity()
    activity.accepted("stripe", 10, "env:A")
    activity.duplicate("stripe", 7, 20, "env:A", differs=False)
    activity.refused(refusal(body=b"first"))
    gathered = activity.take()
    activity.duplicate("stripe", 7, 30, "env:B", differs=False)
    activity.refused(refusal(body=b"second"))
    activity.put_back(gathered)
    again = activity.take()
    counts = again.counts["stripe"]
    assert (counts.accepted, counts.duplicates, counts.refused) == (1, 2, 2)
    assert counts.last_accepted_us == 10
    assert {key: (used.verified, used.last_us) for key, used in counts.keys.items()} == {
        "env:A": (2, 20),
        "env:B": (1, 30),
    }
    assert counts.refused_since_accepted == 2
    assert again.duplicates == {7: 2}
    assert [refused.body for refused in again.refusals["stripe"]] == [b"first", b"second"]


def test_an_outage_without_end_does_not_fill_the_memory() -> None:
    activity = Activity()
    for number in range(3 * KEPT):
        activity.refused(refusal(body=b"%d" % number))
        if number % 100 == 0:
            activity.put_back(activity.take())
    assert len(drained(activity)["stripe"]) <= KEPT


def test_noting_and_taking_at_once_loses_nothing() -> None:
    activity = Activity()
    taken = 0

    def note() -> None:
        for _ in range(5000):
            activity.accepted("stripe", 1, "env:A")

    threads = [threading.Thread(target=note) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or activity:
        counts = activity.take().counts.get("stripe")
        taken += counts.accepted if counts else 0
    assert taken == 10_000
