"""Every store: what operators see of each source."""

from receiver.store import Store, reads
from receiver.store.activity import KEPT, SOURCE_BYTES, STORE_BYTES, Refusal
from receiver.store.times import from_us
from tests.conformance.bench import S_US, ask, record
from tests.support.stores import arrival


def refuse(store: Store, body: bytes = b"\x00\xff", source: str = "stripe", at_us: int = S_US) -> None:
    refusal = Refusal(source, at_us, "timestamp_stale", "signed long ago", at_us - S_US, len(body), b"a: b", body)
    store.activity.refused(refusal)


def test_counters_of_many_flushes_add_up(store: Store) -> None:
    for round in range(1, 4):
        store.activity.accepted("stripe", round * S_US, "env:A (0a)")
        refuse(store, at_us=round * S_US)
        refuse(store, at_us=round * S_US)
        store.flush()
    with store.reading() as session:
        source = reads.sources(session)["stripe"]
    assert (source.accepted, source.refused, source.refused_since_accepted) == (3, 6, 2)
    assert (source.last_accepted_at, source.last_refused_at) == (from_us(3 * S_US), from_us(3 * S_US))
    assert (source.last_refused_code, source.key, source.key_at) == ("timestamp_stale", "env:A (0a)", from_us(3 * S_US))


def test_what_was_not_noted_in_a_flush_stays_as_it_was(store: Store) -> None:
    store.activity.accepted("stripe", 5 * S_US, "env:A (0a)")
    refuse(store)
    store.flush()
    store.activity.duplicate("stripe", 1, 9 * S_US, "env:B (0b)", differs=False)
    store.flush()
    with store.reading() as session:
        source = reads.sources(session)["stripe"]
    assert (source.accepted, source.duplicates, source.differing, source.refused_since_accepted) == (1, 1, 0, 1)
    assert (source.last_accepted_at, source.key) == (from_us(5 * S_US), "env:B (0b)")


def test_what_each_key_verifies_is_counted_with_its_last_time(store: Store) -> None:
    for at_s, key in ((1, "env:A (0a)"), (2, "env:B (0b)"), (3, "env:A (0a)")):
        store.activity.accepted("stripe", at_s * S_US, key)
        store.activity.duplicate("stripe", 1, at_s * S_US, key, differs=False)
        store.flush()
    store.activity.accepted("github", S_US, "env:A (0a)")
    store.flush()
    with store.reading() as session:
        found = reads.usage(session)
    assert {key: (used.verified, used.last_verified_at) for key, used in found["stripe"].items()} == {
        "env:A (0a)": (4, from_us(3 * S_US)),
        "env:B (0b)": (2, from_us(2 * S_US)),
    }
    assert found["github"]["env:A (0a)"].verified == 1


def test_duplicates_are_counted_with_their_event(store: Store) -> None:
    [[event]] = record(store, arrival("evt_1"))
    for _ in range(3):
        store.activity.duplicate("stripe", event.id, S_US, "env:A", differs=False)
    store.flush()
    with store.reading() as session:
        assert reads.event(session, event.id).duplicates == 3


def test_a_rejection_keeps_cause_clocks_and_bytes(store: Store) -> None:
    refuse(store, at_us=7 * S_US)
    store.flush()
    assert ask(store, "SELECT code, detail, headers, body, size_bytes, received_at, claimed_at FROM rejection") == [
        ("timestamp_stale", "signed long ago", b"a: b", b"\x00\xff", 2, 7 * S_US, 6 * S_US)
    ]


def test_the_newest_rejections_of_each_source_stay(store: Store) -> None:
    refuse(store, source="quiet")
    for number in range(KEPT + 50):
        refuse(store, body=b"%d" % number)
        if number % 400 == 0:
            store.flush()
    store.flush()
    kept = ask(store, "SELECT body FROM rejection WHERE source = 'stripe' ORDER BY id")
    assert [body for (body,) in kept] == [b"%d" % number for number in range(50, KEPT + 50)]
    assert ask(store, "SELECT count(*) FROM rejection WHERE source = 'quiet'") == [(1,)]


def test_a_source_s_rejections_are_bounded_in_bytes_and_the_oldest_go(store: Store) -> None:
    refuse(store, source="quiet")
    for number in range(300):
        refuse(store, body=b"%d" % number + bytes(65000))
    while store.activity:
        store.flush()
    [(size, oldest, count)] = ask(
        store, "SELECT sum(length(headers) + length(body) + length(target)), min(id), count(*) FROM rejection"
        " WHERE source = 'stripe'",
    )  # fmt: skip
    assert SOURCE_BYTES - 66000 < size <= SOURCE_BYTES
    [(body,)] = ask(store, "SELECT body FROM rejection WHERE id = :id", id=oldest)
    assert body.startswith(b"%d" % (300 - count))
    assert ask(store, "SELECT count(*) FROM rejection WHERE source = 'quiet'") == [(1,)]


def test_all_rejections_together_are_bounded_in_bytes(store: Store) -> None:
    sources = STORE_BYTES // SOURCE_BYTES + 1
    for number in range(sources):
        for _ in range(SOURCE_BYTES // 65536):
            refuse(store, body=bytes(65000), source=f"source-{number:02}")
        while store.activity:
            store.flush()
    [(size,)] = ask(store, "SELECT sum(length(headers) + length(body) + length(target)) FROM rejection")
    assert STORE_BYTES - 66000 < size <= STORE_BYTES
    left = dict(ask(store, "SELECT source, count(*) FROM rejection GROUP BY source"))
    assert left["source-00"] < left[f"source-{sources - 1:02}"] == SOURCE_BYTES // 65536
