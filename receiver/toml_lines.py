"""Finds the line on which a key of a TOML document stands, for error messages: `tomllib` gives only values.

It expects text that `tomllib` has accepted: it looks for keys, skips values, and never says what is valid.
"""

import re
import tomllib
from contextlib import suppress

KeyPath = tuple[str | int, ...]

_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_SCALAR = re.compile(r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*'|[^,\]}#\n]+''', re.DOTALL)


def line_of(text: str, path: KeyPath) -> int:
    """The line of a key or array element, else of the nearest table around it that the document mentions."""
    scan = _Scan(text)
    with suppress(ValueError):  # a near line is better than no message
        scan.document()
    while path and path not in scan.lines:
        path = path[:-1]
    return scan.lines.get(path, 1)


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._next():
            if self._take("["):
                self._take("[")
                table = self._key(())
                self._take("]")
                self._take("]")
            else:
                self._pair(table)

    def _pair(self, table: KeyPath) -> None:
        path = self._key(table)
        self._take("=")
        self._value(path)

    def _key(self, path: KeyPath) -> KeyPath:
        self._next()
        dotted = True
        while dotted:
            start = self.at
            path = (*path, *tomllib.loads(f"{self._match(_KEY)} = 0"))
            self._mark(path, start)
            dotted = bool(self._match(_DOT))
        return path

    def _value(self, path: KeyPath) -> None:
        if self._take("{"):
            while not self._take("}"):
                self._pair(path)
                self._take(",")
        elif self._take("["):
            self._elements(path)
        elif not self._match(_SCALAR):
            raise ValueError("out of step")

    def _elements(self, path: KeyPath) -> None:
        index = 0
        while not self._take("]"):
            self._mark((*path, index), self.at)
            self._value((*path, index))
            self._take(",")
            index += 1

    def _mark(self, path: KeyPath, start: int) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, start) + 1)

    def _next(self) -> str:
        """The next character that is neither white space nor comment; empty at the end."""
        self._match(_GAP)
        return self.text[self.at : self.at + 1]

    def _take(self, character: str) -> bool:
        taken = self._next() == character
        self.at += taken
        return taken

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found[0] if found else ""
