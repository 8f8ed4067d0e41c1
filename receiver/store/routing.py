"""Which handlers take an event: by the patterns that workers wrote into the store."""

import re
from collections.abc import Iterable
from functools import lru_cache

from receiver.store.patterns import regex
from receiver.store.processes import Pattern, live_patterns
from receiver.store.runs import Route
from receiver.store.transaction import Transaction


def router(patterns: Iterable[Pattern]) -> Route:
    """Of (source, type) the handlers, each once, in order of name. Pure: the patterns may come from wherever.

    One without a source is an alias, an old name: while a worker lives that still has the old name only, events
    go to the new one alone, for both would act on them.
    """
    return _router(frozenset(patterns))


@lru_cache(maxsize=4)
def _router(patterns: frozenset[Pattern]) -> Route:
    old = {name for name, source, _ in patterns if not source}
    aliases = {pattern for pattern in patterns if pattern[0] in old}
    compiled = [(name, _matcher(source), _matcher(pattern)) for name, source, pattern in sorted(patterns - aliases)]

    @lru_cache(maxsize=4096)
    def route(source: str, type_: str) -> tuple[str, ...]:
        matching = (
            name for name, of_source, of_type in compiled if of_source.fullmatch(source) and of_type.fullmatch(type_)
        )
        return tuple(dict.fromkeys(matching))

    return route


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(regex(pattern), re.DOTALL)


def current(tx: Transaction) -> Route | None:
    """By the patterns of this moment: a handler that a new worker brought must not miss an event.

    None while no worker lives: whoever comes first may have other handlers than those that left.
    """
    patterns = live_patterns(tx)
    return None if patterns is None else router(patterns)
