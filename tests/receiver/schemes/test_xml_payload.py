"""XML as data, and nothing else of what XML can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.schemes.xml_payload import parse_xml


def test_elements_become_members_and_types_are_told() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
    <notification>
      <kind>a &amp; b &#233;</kind> <empty/> <nothing nil="true"/>
      <billing-day type="integer">9</billing-day> <no-number type="integer">9x</no-number>
      <yes type="boolean">true</yes> <no type="boolean">false</no>
      <list type="array"><item><id>1</id></item><item>2</item></list> <none type="array"/>
      <inner><a>1</a><b><![CDATA[<2>]]></b></inner>
    </notification>"""
    assert parse_xml(text.encode()) == {
        "kind": "a & b é",
        "empty": "",
        "nothing": None,
        "billing_day": 9,
        "no_number": "9x",
        "yes": True,
        "no": False,
        "list": [{"id": "1"}, "2"],
        "none": [],
        "inner": {"a": "1", "b": "<2>"},
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&b;</a>", "<a>\x00</a>", "<a b=1/>"),
        *(
            "<!DOCTYPE a><a/>",
            '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        ),
        "<a>" * 101 + "</a>" * 101,
    ],
)
def test_what_is_no_harmless_xml_is_nothing(text: str) -> None:
    assert parse_xml(text.encode()) is None


def test_bytes_that_are_no_utf_8_are_nothing() -> None:
    assert parse_xml(b"<a>\xff</a>") is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(text: bytes) -> None:
    parse_xml(b"<a>" + text + b"</a>")
