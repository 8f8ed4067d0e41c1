"""Structured fields, read by a strict grammar. What the standard's own examples make is proven by the vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.schemes.structured import (
    read_bytes,
    read_dictionary,
    read_string,
    read_strings,
    write_bytes,
    write_string,
)

TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


def test_members_keep_their_texts() -> None:
    text = 'a=("x" "y;z";k=1;b);created=1 ,\tb=:AAE=:, c="d, e=\\"f\\"";q, d=tok/en, e=?1, f=-1.5'
    assert read_dictionary(text) == {
        "a": '("x" "y;z";k=1;b);created=1',
        "b": ":AAE=:",
        "c": '"d, e=\\"f\\"";q',
        "d": "tok/en",
        "e": "?1",
        "f": "-1.5",
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a", "a=", "A=1", "a=1,", ",a=1", "a=1,,b=2", "a=1 b=2", "a=1;", "a=1, a=2", "a= 1", "a=1\n"),
        *('a=("b" )', 'a=( "b")', 'a=("b"  "c")', 'a=("b"', "a=(b)", 'a="é"', 'a="\\n"', 'a="b', "a=:AA", "a=?2"),
        *("a=" + "1" * 20000, "a=1\0", "a=\uff11"),
    ],
)
def test_what_is_no_dictionary_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no dictionary"):
        read_dictionary(text)


def test_a_list_of_strings_keeps_the_text_of_each_and_their_parameters() -> None:
    items, parameters = read_strings('("@query-param";name="a\\"b" "date");created=1;keyid="k";x')
    assert [item.value for item in items] == ["@query-param", "date"]
    assert items[0].text == '"@query-param";name="a\\"b"'
    assert items[0].parameters == {"name": '"a\\"b"'}
    assert parameters == {"created": "1", "keyid": '"k"', "x": "?1"}


@pytest.mark.parametrize("text", ["", "()x", '("a") ', '("a");b;b', '("a";b;b)', '"a"', "(a)"])
def test_what_is_no_list_of_strings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no list|twice"):
        read_strings(text)


@given(TEXTS)
def test_a_string_comes_back(text: str) -> None:
    assert read_string(write_string(text)) == text


@given(st.binary(max_size=100))
def test_bytes_come_back(content: bytes) -> None:
    assert read_bytes(write_bytes(content)) == content


NO_BYTES = ["", ":", "::x", ":A:", ":AA:", ":AA=:", ":AAAA=:", ": AAAA:", ":AAAA", ":AA-_:", ":AAF=:"]


@pytest.mark.parametrize("text", NO_BYTES)
def test_what_is_no_byte_sequence_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, whose text is the decoder's
        read_bytes(text)
