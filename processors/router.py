"""Which handlers take an event: pure, by (handler, source, pattern) triples from wherever they come."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from receiver.store.patterns import regex

Triple = tuple[str, str, str]
"""(handler, source, pattern); `*` in source or pattern matches any characters."""


def router(triples: Iterable[Triple]) -> Callable[[str, str], tuple[str, ...]]:
    """A function of (source, type) that names the handlers, each once, in order of name.

    A triple without a source is an alias, an old name: while a worker lives that still has the old name only, events
    go to the new one alone, for both would act on them.
    """
    known = sorted(set(triples))
    old = {name for name, source, _ in known if not source}
    compiled = [(name, _matcher(source), _matcher(pattern)) for name, source, pattern in known if name not in old]

    @lru_cache(maxsize=4096)
    def route(source: str, type_: str) -> tuple[str, ...]:
        matching = (
            name for name, of_source, of_type in compiled if of_source.fullmatch(source) and of_type.fullmatch(type_)
        )
        return tuple(dict.fromkeys(matching))

    return route


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(regex(pattern), re.DOTALL)
