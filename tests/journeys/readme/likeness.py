"""Whether what a command printed is what the README shows. Ids differ each time, but the same id is always itself."""

import re

IDS = re.compile(r"\b(?:(?:ev|run|rej)_[0-9a-z]+|evt_\w+|postern-[0-9a-f]{40})\b")
DIFFERENT = [
    (re.compile(pattern, re.MULTILINE), name)
    for pattern, name in (
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z", "TIME"),
        (r"^\d\d:\d\d:\d\d ", "TIME "),
        (r"^ +\d+\.\d s ", "LENGTH "),
        (r"\b\d+\.\d\d?(?= ?s\b)", "LENGTH"),
        (r"\bprocess \d+(?: on [^\s,)]+)?|kill -9 \d+", "PROCESS"),
        (r" \.\.+$", " DOTS"),
        (r"\([0-9a-f]{8}\)", "(FINGERPRINT)"),
        (r"127\.0\.0\.1:(?!8000\b)\d+", "127.0.0.1:PORT"),
    )
]


class Likeness:
    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def alike(self, shown: str, printed: str) -> bool:
        """And if so, the ids that are shown are from now on those that were printed."""
        pairs = dict(self._real)
        same = _constant(shown) == _constant(printed) and all(
            pairs.setdefault(one, other) == other
            for one, other in zip(IDS.findall(shown), IDS.findall(printed), strict=True)
        )
        if same:
            self._real = pairs
        return same

    def take(self, shown: str, printed: str) -> None:
        """Bind what ids there are, in their order, where something else has changed."""
        for one, other in zip(dict.fromkeys(IDS.findall(shown)), dict.fromkeys(IDS.findall(printed)), strict=False):
            self._real.setdefault(one, other)

    def real(self, text: str) -> str:
        """The text with the ids of today."""
        return IDS.sub(lambda found: self._real.get(found[0], found[0]), text)


def _constant(text: str) -> str:
    text = IDS.sub("ID", text)
    for pattern, name in DIFFERENT:
        text = pattern.sub(name, text)
    return text
