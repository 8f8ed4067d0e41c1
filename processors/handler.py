"""Handlers: functions registered with `@on`. `router.py` finds the one for an event, `attempt.py` runs it."""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from processors.event import Event
from receiver.errors import UserError
from receiver.store.processes import HandlerOffer

F = TypeVar("F", bound=Callable[..., Any])
NAME_LENGTH = 200  # it stands in an index
MARK = "__postern_handler__"
REGISTERED: "list[Handler]" = []
"""In the order of registration. A process loads its configured modules once and takes them all."""


@dataclass(frozen=True)
class Handler:
    """A function, the name its runs are stored under, and the (source, pattern) pairs it asks for."""

    name: str
    aliases: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    function: Callable[..., Any]

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def place(self) -> str:
        code = self.function.__code__
        return f"{code.co_filename}:{code.co_firstlineno}"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Reads an event's data as the T of the handler's `Event[T]`; anything goes where none is written."""
        first = next(iter(inspect.signature(self.function).parameters), None)
        try:
            hint = get_type_hints(self.function).get(first or "", Any)
            return TypeAdapter(get_args(hint)[0] if get_origin(hint) is Event else Any)
        except Exception as error:  # whatever a strange annotation leads to: it must not stop intake
            said = str(error).partition("\n")[0]
            raise UserError(
                f"handler {self.name!r}: the type of its event cannot be read: {said}",
                self.place,
                "Take a type that pydantic reads, imported outside of TYPE_CHECKING.",
            ) from error

    def offers(self) -> Iterable[HandlerOffer]:
        """What a worker writes into the store about this handler. An alias is offered, but asks for nothing."""
        code = self.function.__code__
        version = _version(code.co_filename)
        for source, pattern in self.routes:
            yield HandlerOffer(self.name, source, pattern, version, code.co_filename, code.co_firstlineno)
        for alias in self.aliases:
            yield HandlerOffer(alias, "", "", version, code.co_filename, code.co_firstlineno)


def _version(file: str) -> str:
    """Eight digits that change with the handler's file."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]
    except OSError:
        return "unknown"


def on(source: str, *types: str, name: str | None = None, aliases: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a handler for a source's types; `*` in either matches any characters, no types means all of them.

    `name` is the identity under which its runs are stored, by default the function's name; `aliases` keeps old names
    after it was renamed. Used twice on one function, both sets of types lead to it.
    """

    def register(function: F) -> F:
        if not inspect.isfunction(function):
            raise TypeError(f"@on takes a function, not {function!r}")
        routes = tuple((source, pattern) for pattern in types or ("*",))
        before: Handler | None = getattr(function, MARK, None)
        if before is None:
            handler = Handler(name or function.__name__, tuple(aliases), routes, function)
        else:
            REGISTERED.remove(before)
            handler = replace(
                before,
                name=name or before.name,
                routes=before.routes + routes,
                aliases=(*before.aliases, *aliases),
            )
        REGISTERED.append(handler)
        setattr(function, MARK, handler)
        return function

    return register


def handler_of(function: Callable[..., Any]) -> Handler:
    handler: Handler | None = getattr(function, MARK, None)
    if handler is None:
        raise TypeError(f"{function!r} is not a handler: decorate it with @on(source, *types)")
    return handler


def by_name(handlers: Iterable[Handler]) -> dict[str, Handler]:
    """Handlers by name and alias. Errors: UserError where two have one name, naming both lines, or one cannot run."""
    named: dict[str, Handler] = {}
    for handler in handlers:
        _check(handler)
        for name in handler.names:
            other = named.setdefault(name, handler)
            if other is not handler:
                raise UserError(
                    f"two handlers are named {name!r}: {other.place} and {handler.place}",
                    fix='Give one of them another name: @on(..., name="…").',
                )
        _ = handler.adapter  # a type that cannot be read shows now, not at the first event
    return named


def _check(handler: Handler) -> None:
    """What would fail at every event is said at the start."""
    for name in handler.names:
        if not (0 < len(name) <= NAME_LENGTH and name.isprintable()):
            fix = 'Give it a shorter one: @on(..., name="…").'
            raise UserError(f"a handler's name has up to {NAME_LENGTH} printable characters", handler.place, fix)
    try:
        inspect.signature(handler.function).bind(None, None)
    except TypeError:
        fix = f"Write it as def {handler.function.__name__}(event, ctx)."
        raise UserError(f"handler {handler.name!r} must take an event and a context", handler.place, fix) from None
