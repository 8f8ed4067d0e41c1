"""A form as it is read where a signature covers its fields: all of them, and in one way only. Pure."""

from typing import Final
from urllib.parse import parse_qsl

from receiver.schemes import Refused

_MOST_FIELDS: Final = 1000


def read_form(text: bytes) -> list[tuple[str, str]]:
    """Its fields in their order, empty ones too. Errors: Refused."""
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Refused("signature_malformed", f"this is no form: {error}") from None


def only_field(fields: list[tuple[str, str]], name: str) -> str | None:
    """Its value; None where it is not there. Errors: Refused, for which of two counts is a guess."""
    values = [value for one, value in fields if one == name]
    if len(values) > 1:
        raise Refused("signature_malformed", f"the field {name} is there more than once")
    return values[0] if values else None
