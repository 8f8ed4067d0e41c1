"""`Retry-After`, in both of its forms and in the forms that servers make up."""

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.outbound.client import retry_after_s

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999999", 999999999.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:12:50 GMT", 0.0),
        ("-1", None),
        ("+5", None),
        ("1.5", None),
        ("٣", None),
        ("9999999999", None),
        ("", None),
        ("soon", None),
        ("Tue, 32 Nov 2023 22:13:50 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251702300799.0),
    ],
)
def test_it_is_seconds_from_now_or_nothing(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_a_date_without_a_zone_is_not_in_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after_s("Tue, 14 Nov 2023 22:13:50 -0000", NOW) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text())
def test_whatever_a_server_sends_is_survived(value: str) -> None:
    found = retry_after_s(value, NOW)
    assert found is None or found >= 0


@given(st.integers(0, 10**9))
def test_a_date_is_the_time_until_then(seconds: int) -> None:
    assert retry_after_s(email.utils.formatdate(NOW + seconds, usegmt=True), NOW) == seconds
