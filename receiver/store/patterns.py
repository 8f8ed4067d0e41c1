"""What `*` means, in `@on`, in filters and when a handler takes an older event: any characters."""

import re


def regex(pattern: str) -> str:
    """To be matched as a whole."""
    return ".*".join(map(re.escape, pattern.split("*")))


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(regex(pattern), text, re.DOTALL) is not None
