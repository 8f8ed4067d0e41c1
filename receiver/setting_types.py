"""What kinds of values keys of postern.toml take, each with its rule in words. The keys are settings.py's."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WrapSerializer,
)

from receiver.references import Secret


def _matching(pattern: str, rule: str, fix: str = "") -> AfterValidator:
    """`fix` is what to do about it; the error has it as its note."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        error = ValueError(rule)
        error.add_note(fix)
        raise error

    return AfterValidator(check)


def _no_switch(value: Any) -> Any:
    # Pydantic takes true for 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _network(address: str) -> str:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8") from None
    return address


def _instant(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) and _RFC_3339.fullmatch(value) else value
    except ValueError:
        at = None
    if not isinstance(at, datetime):
        raise ValueError("must be a time such as 2030-01-31T08:00:00Z")
    if at.tzinfo is None:
        raise ValueError("must say of which zone this time is: end it with Z for UTC, or with an offset such as +01:00")
    return at


def _reference(value: Any) -> Any:
    plain = isinstance(value, str) and not value.startswith(("env:", "file:", "literal:"))
    return f"literal:{value}" if plain else value


def _thawed(value: Mapping[str, Any], serialize: SerializerFunctionWrapHandler) -> Any:
    return serialize(dict(value))


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_Name = TypeVar("_Name", bound=str)
_Value = TypeVar("_Value")
Frozen = Annotated[Mapping[_Name, _Value], AfterValidator(MappingProxyType), WrapSerializer(_thawed)]

Whole = Annotated[int, BeforeValidator(_no_switch)]
Positive = Annotated[Whole, Field(ge=1)]
Port = Annotated[Whole, Field(ge=0, le=65535)]  # 0 asks the system for a free one
Number = Annotated[float, BeforeValidator(_no_switch)]
# The upper end keeps today plus so many seconds inside what a datetime can hold.
Seconds = Annotated[Number, Field(gt=0, le=1e9)]
Factor = Annotated[Number, Field(ge=1, le=1000)]

Instant = Annotated[datetime, BeforeValidator(_instant)]
Text = Annotated[str, Field(min_length=1)]
Locator = str | tuple[str, ...]
PlainOrSecret = Annotated[Secret, BeforeValidator(_reference)]
Network = Annotated[str, AfterValidator(_network)]
SourceName = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9_.-]{0,63}",
        "a source's name is up to 64 of a-z 0-9 _ . - and begins with a-z or 0-9",
    ),
]
HeaderName = Annotated[str, _matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*", "must be a header's name")]

HttpUrl = Annotated[str, _matching(r"https?://[^\s/?#]+\S*", "must be http://HOST… or https://HOST…")]
# A password in an upstream's address would be shown wherever the address is.
UpstreamUrl = Annotated[
    HttpUrl,
    _matching(r"https?://[^@/?#]+([/?#].*)?", "must hold no user and password: they belong into auth"),
]
# A store in memory would answer 2xx for what the next restart forgets.
StoreUrl = Annotated[
    str,
    _matching(
        r"sqlite:///(?!:memory:).+|postgres(ql)?://.+",
        "must be sqlite:///PATH or postgresql://…",
        "Write sqlite:///postern.db for a file, or postgresql://USER:PASSWORD@HOST:5432/DATABASE",
    ),
]
QueueUrl = Annotated[
    str,
    _matching(
        r"memory://|(redis|amqp)s?://.+",
        "must be memory://, redis://… (rediss) or amqp://… (amqps)",
        "Write redis://HOST:6379/0 or amqp://USER:PASSWORD@HOST:5672, or leave it out: the worker is inside then",
    ),
]
