"""`@on`: what it registers under which name, and what stops a worker."""

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from processors import Context, Event, SyncContext, on
from processors.handler import REGISTERED, by_name, handler_of
from receiver.errors import UserError

if TYPE_CHECKING:
    from decimal import Decimal


class Payment(BaseModel):
    amount: int


def test_the_name_is_the_functions_unless_one_is_given() -> None:
    @on("stripe", "paid")
    async def book(event: Event[Any], ctx: Context) -> None: ...

    @on("stripe", "paid", name="book-too")
    async def other(event: Event[Any], ctx: Context) -> None: ...

    assert [handler_of(function).name for function in (book, other)] == ["book", "book-too"]


def test_no_types_means_all_of_them() -> None:
    @on("stripe")
    async def book(event: Event[Any], ctx: Context) -> None: ...

    assert handler_of(book).routes == (("stripe", "*"),)


def test_registering_leaves_the_function_as_it_was() -> None:
    def plain(event: Event[Any], ctx: SyncContext) -> None: ...

    assert on("stripe", "a", "b")(plain) is plain
    assert handler_of(plain).routes == (("stripe", "a"), ("stripe", "b"))
    assert not handler_of(plain).is_async


def test_stacked_decorators_make_one_handler_with_all_types_and_names() -> None:
    @on("github", "push", aliases=["newest"])
    @on("stripe", "paid", name="first", aliases=["older"])
    async def both(event: Event[Any], ctx: Context) -> None: ...

    handler = handler_of(both)
    assert handler.routes == (("stripe", "paid"), ("github", "push"))
    assert handler.names == ("first", "older", "newest")
    assert REGISTERED.count(handler) == 1


def test_the_outermost_name_counts() -> None:
    @on("github", name="outer")
    @on("stripe", name="inner")
    async def both(event: Event[Any], ctx: Context) -> None: ...

    assert handler_of(both).name == "outer"


def test_handlers_are_found_by_name_and_by_alias() -> None:
    @on("stripe", aliases=["old"])
    async def book(event: Event[Any], ctx: Context) -> None: ...

    handler = handler_of(book)
    assert by_name([handler]) == {"book": handler, "old": handler}


def test_two_handlers_of_one_name_stop_the_worker_and_name_both_lines() -> None:
    @on("stripe", "paid")
    async def book(event: Event[Any], ctx: Context) -> None: ...

    first = line_of(book)

    @on("stripe", "refunded", name="book")
    async def other(event: Event[Any], ctx: Context) -> None: ...

    with pytest.raises(UserError) as caught:
        by_name([handler_of(book), handler_of(other)])
    assert str(caught.value) == (
        f"two handlers are named 'book': {__file__}:{first} and {__file__}:{line_of(other)}\n"
        '  Give one of them another name: @on(..., name="…").'
    )


def test_an_alias_may_not_be_another_handlers_name() -> None:
    @on("stripe")
    async def book(event: Event[Any], ctx: Context) -> None: ...

    @on("stripe", aliases=["book"])
    async def other(event: Event[Any], ctx: Context) -> None: ...

    with pytest.raises(UserError, match="two handlers are named 'book'"):
        by_name([handler_of(book), handler_of(other)])


def test_data_is_read_as_the_annotation_says() -> None:
    @on("stripe")
    async def typed(event: Event[Payment], ctx: Context) -> None: ...

    assert handler_of(typed).adapter.validate_python({"amount": 3}) == Payment(amount=3)
    with pytest.raises(ValidationError):
        handler_of(typed).adapter.validate_python({})


def test_without_an_annotation_any_data_goes() -> None:
    @on("stripe")
    async def bare(event, ctx):  # type: ignore[no-untyped-def]
        ...

    @on("stripe")
    async def untyped(event: Event, ctx: Context) -> None:  # type: ignore[type-arg]
        ...

    for function in (bare, untyped):
        assert handler_of(function).adapter.validate_python([1, "x", None]) == [1, "x", None]


def test_a_type_that_is_only_imported_for_checking_stops_the_worker() -> None:
    @on("stripe")
    async def typed(event: "Event[Decimal]", ctx: Context) -> None: ...

    with pytest.raises(UserError) as caught:
        by_name([handler_of(typed)])
    assert str(caught.value) == (
        "handler 'typed': the type of its event cannot be read: name 'Decimal' is not defined\n"
        f"  at {__file__}:{line_of(typed)}\n"
        "  Take a type that pydantic reads, imported outside of TYPE_CHECKING."
    )


def test_a_type_that_pydantic_cannot_read_is_named_with_its_handler() -> None:
    class Plain: ...

    @on("stripe")
    async def plain(event: Event[Plain], ctx: Context) -> None: ...

    with pytest.raises(UserError, match="handler 'plain': the type of its event cannot be read"):
        by_name([handler_of(plain)])


def test_only_functions_are_handlers() -> None:
    with pytest.raises(TypeError, match="@on takes a function"):
        on("stripe", name="bound")(print)


def test_a_worker_offers_each_pattern_and_each_alias() -> None:
    @on("stripe", "a", "b", aliases=["old"])
    async def book(event: Event[Any], ctx: Context) -> None: ...

    offers = list(handler_of(book).offers())
    assert [(offer.handler, offer.source, offer.pattern) for offer in offers] == [
        ("book", "stripe", "a"),
        ("book", "stripe", "b"),
        ("old", "", ""),
    ]
    assert {(offer.file, offer.line) for offer in offers} == {(__file__, line_of(book))}
    assert len({offer.version for offer in offers}) == 1


def test_a_function_without_on_is_no_handler() -> None:
    with pytest.raises(TypeError, match=r"is not a handler: decorate it with @on\(source, \*types\)"):
        handler_of(line_of)


def line_of(function: Any) -> int:
    return inspect.getsourcelines(function)[1]


def test_a_handler_that_does_not_take_an_event_and_a_context_is_told_at_the_start() -> None:
    @on("shop", "*")
    def half(event: Event[Any]) -> None: ...

    with pytest.raises(UserError) as caught:
        by_name([handler_of(half)])
    assert caught.value.what == "handler 'half' must take an event and a context"
    assert caught.value.where.startswith(f"{__file__}:")
    assert "half(event, ctx)" in caught.value.fix


@pytest.mark.parametrize("name", ["x" * 201, "two\nlines", "\x00"])
def test_a_handler_s_name_can_be_stored_everywhere(name: str) -> None:
    @on("shop", "*", name=name)
    def odd(event: Event[Any], ctx: SyncContext) -> None: ...

    with pytest.raises(UserError, match="printable"):
        by_name([handler_of(odd)])
