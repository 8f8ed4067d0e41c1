"""Routing, held against the standard library's idea of `*`."""

from fnmatch import fnmatchcase

from hypothesis import example, given
from hypothesis import strategies as st

from receiver.store.routing import router

texts = st.text(alphabet="ab.*\n/[?", max_size=6)
triples = st.lists(st.tuples(st.sampled_from("xyz"), texts, texts), max_size=6)


def like_a_shell(pattern: str, text: str) -> bool:
    """`fnmatch`, in which only `*` is left special."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


@given(triples, texts, texts)
@example([("x", "a", "a"), ("x", "a", "b")], "a", "b")
@example([("x", "*", "a.*")], "b", "a.b\nc")
@example([("x", "a", "a")], "a", "a\n")
@example([("x", "", ""), ("x", "*", "*")], "a", "a")
def test_handlers_are_found_as_a_shell_would_find_files(
    asked: list[tuple[str, str, str]], source: str, type_: str
) -> None:
    old = {name for name, of, _ in asked if not of}
    found = {name for name, of, pattern in asked if like_a_shell(of, source) and like_a_shell(pattern, type_)}
    expected = found - old
    assert router(asked)(source, type_) == tuple(sorted(expected))


def test_a_handler_that_asks_twice_is_named_once() -> None:
    assert router([("book", "stripe", "*"), ("book", "stripe", "paid")])("stripe", "paid") == ("book",)


def test_an_alias_asks_for_nothing() -> None:
    assert router([("old", "", "")])("", "") == ()


def test_the_order_of_handlers_does_not_depend_on_who_offered_them() -> None:
    one, other = ("a", "*", "*"), ("b", "*", "*")
    assert router([one, other])("s", "t") == router([other, one])("s", "t") == ("a", "b")


def test_an_event_does_not_go_to_an_old_name_while_a_worker_that_has_only_that_one_still_lives() -> None:
    renamed = [("new", "stripe", "*"), ("old", "", ""), ("old", "stripe", "*")]
    assert router(renamed)("stripe", "a") == ("new",)
