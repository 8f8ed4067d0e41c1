"""One delivery on its way through intake, and the answer to it."""

from abc import abstractmethod
from collections.abc import Sequence, Set
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from receiver.headers import NOT_KEPT
from receiver.schemes import Headers, Request
from receiver.sources import Source
from receiver.store.intake import Arrival, Recorded

WEBHOOKS: Final = "/webhooks/"


def without_fields(secrets: Set[str], query: str) -> str:
    """A query as it may be kept; but for the credentials' values it stays as it came."""
    return "&".join(_kept(secrets, *field.partition("=")) for field in query.split("&"))


def _kept(secrets: Set[str], name: str, equals: str, value: str) -> str:
    return f"{name}={NOT_KEPT.decode()}" if unquote_plus(name) in secrets else f"{name}{equals}{value}"


class Answer(NamedTuple):
    status: int
    head: bytes
    """Header lines that are this answer's own."""
    body: bytes


class Delivery:
    """One inbound request, as far as it has come, and whoever waits for what becomes of it."""

    __slots__ = (
        *("admitted", "body", "head", "method", "name", "query", "raw_path", "scheme", "whole"),
        *("arrival", "headers", "key", "nonce", "recorded", "request", "source"),
    )
    headers: Headers
    source: Source
    request: Request
    arrival: Arrival
    recorded: list[Recorded]
    key: str
    """Which one verified it, for people."""

    def __init__(
        self, name: str, method: bytes, scheme: str, raw_path: bytes, query: bytes, raw: Sequence[tuple[bytes, bytes]]
    ) -> None:
        self.name = name
        self.method = method
        self.scheme = scheme
        self.raw_path = raw_path
        self.query = query
        self.headers = Headers(raw)
        self.head = b""  # as it is kept
        self.body: bytes | bytearray = b""
        self.whole = False
        self.admitted = False
        self.nonce: bytes | None = None  # what to release if it is not stored

    def target(self, secrets: Set[str]) -> str:
        """Path and query as they came and may be kept."""
        path, query = self.raw_path.decode("latin-1"), self.query.decode("latin-1")
        return f"{path}?{without_fields(secrets, query)}" if query else path

    # ── what becomes of it ──

    @abstractmethod
    def done(self) -> bool:
        """Whether it is answered, or nobody waits any more. Asked by the writer's thread too."""

    @abstractmethod
    def set_result(self, recorded: list[Recorded]) -> None:
        """It is on the disk."""

    @abstractmethod
    def set_exception(self, error: BaseException) -> None: ...

    @abstractmethod
    def answer(self, answer: Answer) -> None: ...

    @abstractmethod
    def go_on(self) -> None:
        """Be taken once more: what it waited for is there, or is known not to be."""
