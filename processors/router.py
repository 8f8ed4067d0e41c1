"""Which handlers take an event: pure, by (handler, source, pattern) triples from wherever they come."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from receiver.store.patterns import regex

Triple = tuple[str, str, str]
"""(handler, source, pattern); `*` in source or pattern matches any characters."""


def router(triples: Iterable[Triple]) -> Callable[[str, str], tuple[str, ...]]:
    """A function of (source, type) that names the handlers, each once, in order of name."""
    compiled = [(name, _matcher(source), _matcher(pattern)) for name, source, pattern in sorted(set(triples)) if source]

    @lru_cache(maxsize=4096)
    def route(source: str, type_: str) -> tuple[str, ...]:
        matching = (
            name for name, of_source, of_type in compiled if of_source.fullmatch(source) and of_type.fullmatch(type_)
        )
        return tuple(dict.fromkeys(matching))

    return route


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(regex(pattern), re.DOTALL)
