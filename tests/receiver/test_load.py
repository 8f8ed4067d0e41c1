"""Code by import string: what does not import is named with its line, and never takes the caller down."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.errors import UserError
from receiver.load import load, load_modules, put_on_path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before, modules = sys.path[:], set(sys.modules)
    put_on_path(tmp_path)
    yield tmp_path
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_string_names_a_module_or_something_in_it() -> None:
    assert load("json").__name__ == "json"
    assert load("json:dumps")([]) == "[]"


def test_the_folder_of_the_configuration_comes_first_and_once(folder: Path) -> None:
    put_on_path(folder)
    assert sys.path[0] == str(folder)
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("import json\n\n1 / 0\n", "ZeroDivisionError: division by zero", 3),
        ("x = 1\ndef f(:\n", "SyntaxError", 2),
        ("import shop_that_is_not_there\n", "No module named 'shop_that_is_not_there'", 1),
        ("import sys\nsys.exit('done')\n", "SystemExit: done", 2),
        ("def f():\n    raise Exception\nf()\n", "Exception", 2),
        ("class Odd(BaseException): ...\nraise Odd('odd')\n", "Odd: odd", 2),
    ],
)
def test_a_module_that_does_not_import_is_named_with_the_line(folder: Path, text: str, said: str, line: int) -> None:
    name = f"handlers_{abs(hash(text))}"
    (folder / f"{name}.py").write_text(text)
    with pytest.raises(UserError) as caught:
        load_modules([name])
    assert said in caught.value.what
    assert name in caught.value.what
    assert caught.value.where == f"{folder / name}.py:{line}"
    assert len(str(caught.value).splitlines()) <= 3


def test_a_module_that_is_not_there_is_named_with_its_key(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_modules(["nowhere_to_be_found"])
    assert "nowhere_to_be_found" in caught.value.what
    assert "[handlers] modules" in caught.value.where


def test_an_error_that_is_a_user_error_already_stays_as_it_is(folder: Path) -> None:
    (folder / "refusing.py").write_text("from receiver.errors import UserError\nraise UserError('this very text')\n")
    with pytest.raises(UserError) as caught:
        load_modules(["refusing"])
    assert str(caught.value) == "this very text"


def test_an_interrupt_is_an_interrupt(folder: Path) -> None:
    (folder / "interrupted.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_modules(["interrupted"])


def test_an_error_of_many_lines_is_told_in_one(folder: Path) -> None:
    (folder / "wordy.py").write_text("raise ValueError('first\\nsecond\\nthird\\nfourth')\n")
    with pytest.raises(UserError) as caught:
        load_modules(["wordy"])
    assert len(str(caught.value).splitlines()) <= 3
