"""The README is true: what it tells to type is typed, and must print what it shows. How it is followed: readme/."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel

from receiver.cli.main import postern
from receiver.environment import children
from receiver.settings import Configuration, load
from receiver.sources import describe_source, unused_keys
from tests.journeys.readme import README, free_port
from tests.journeys.readme.blocks import blocks
from tests.journeys.readme.likeness import Likeness
from tests.journeys.readme.reader import REPOSITORY, Reader, changed
from tests.support.upstream import upstream

DOCS = REPOSITORY / "docs"
PAGES = (README, *sorted(DOCS.glob("*.md")))
ORDER = (
    "The problem", "Ten minutes", "Your handler", "Your test", "Real vendor traffic on a laptop", "At 3 am",
    "A private vendor", "Upgrade", "More than one machine", "Words",
    "Against Convoy, Hookdeck, and FastAPI with Celery",
    "Why it is built this way", "Dependencies", "For contributors",
)  # fmt: skip
NOT_RUN = 8  # an account, an index, Docker, systemd: each more is a part of the documentation that may be wrong


def test_whoever_follows_the_readme_sees_what_it_shows(tmp_path: Path) -> None:
    fragments = tmp_path / "fragments"
    fragments.mkdir()
    with upstream() as ledger, Reader(tmp_path, free_port(), ledger) as reader:
        for number, block in enumerate(blocks(README.read_text())):
            if block.why_not_run:
                continue
            came = reader.follow(block)
            assert reader.likeness.alike(block.text, came), f"README.md:{block.line} is no longer what comes:\n{came}"
            if block.language == "python" and not block.file:
                (fragments / f"fragment_{number}.py").write_text(block.text)
        assert [json.loads(call.body)["cents"] for call in ledger.calls] == [4590, 4590]  # two payments, each once
        assert _mypy(reader.folder, fragments) == "Success: no issues found in 4 source files\n"


def _mypy(project: Path, fragments: Path) -> str:
    """Of the project as it is at the end, and of code that stands for itself."""
    files = ["webhooks.py", "acme.py", "tests", *map(str, fragments.iterdir())]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(REPOSITORY / ".mypy_cache" / "readme"),
        *files,
    ]
    environ = {"MYPYPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
    return done.stdout


def test_the_readme_has_its_parts_in_their_order() -> None:
    assert tuple(re.findall(r"^## (.+)$", README.read_text(), re.MULTILINE)) == ORDER


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    run = ("console", "diff", "python", "toml") if page == README else ("toml",)
    found = list(blocks(page.read_text()))
    assert len(found) * 2 == page.read_text().count("```")
    assert [block for block in found if block.language not in run and not block.why_not_run] == []


def test_few_blocks_are_not_run() -> None:
    assert sum(bool(block.why_not_run) for page in PAGES for block in blocks(page.read_text())) <= NOT_RUN


TABLES = {
    f"{page.name}:{block.line}": block.text
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "toml"
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_each_configuration_is_one_without_a_warning(text: str, tmp_path: Path) -> None:
    (tmp_path / "postern.toml").write_text(text)
    settings = load(tmp_path / "postern.toml", {})
    assert settings.warnings == ()
    for name in settings.sources:
        assert describe_source(name, settings).name == name
        assert unused_keys(name, settings) == []


def test_the_reference_names_every_key() -> None:
    text = (DOCS / "reference.md").read_text()
    assert [key for key in _keys(Configuration) if not re.search(rf"\b{key}\b", text)] == []


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, kind in children(model)[0].items():
        yield name
        for table in (children(kind)[1], kind):
            if isinstance(table, type) and issubclass(table, BaseModel):
                yield from _keys(table)


def test_the_reference_shows_the_defaults_as_they_are(tmp_path: Path) -> None:
    shown = next(b.text for b in blocks((DOCS / "reference.md").read_text()))
    (tmp_path / "postern.toml").write_text(shown)
    written, defaults = load(tmp_path / "postern.toml", {}), Configuration()
    assert written.server.model_copy(update={"admin_port": None}) == defaults.server
    assert (written.queue, written.worker) == (defaults.queue, defaults.worker)
    assert tomllib.loads(shown)["store"]["url"] == defaults.store.url


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_in_the_text_is_one(page: Path) -> None:
    inline = re.findall(r"(?<!`)`postern ([^`]+)`(?!`)", page.read_text())
    assert [line for line in inline if not _is_command(line.split())] == []


def _is_command(words: list[str]) -> bool:
    """Whether the first words are a command, and each option is one of it."""
    command: click.Command | None = postern
    with click.Context(postern) as ctx:
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            command = command.get_command(ctx, words.pop(0))
    known = {name for parameter in command.params for name in parameter.opts} if command else set()
    return command is not None and all(word in known for word in words if word.startswith("--"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_each_dependency_has_its_reason() -> None:
    part = README.read_text().partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    names = [Requirement(text).name for wanted in lists for text in wanted]
    assert [name for name in names if not re.search(rf"[ |]{name}[ ,]", part)] == []


# ── that it would be noticed ──


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("ev_1 done\nev_1 done", "ev_2 done\nev_2 done", True),
        ("ev_1 done\nev_1 done", "ev_2 done\nev_3 done", False),
        ("ev_1 done", "ev_1 attention", False),
        ("1 passed in 0.10s", "1 passed in 2.35s", True),
        ("1 passed in 0.10s", "2 passed in 0.10s", False),
        ("at 2026-01-01T00:00:00Z", "at 2027-12-31T23:59:59Z", True),
        ("at 2026-01-01T00:00:00Z", "at -", False),
        ("one line\n", "one line\nand one more\n", False),
    ],
)
def test_what_may_differ_is_ids_and_times(shown: str, printed: str, same: bool) -> None:
    assert Likeness().alike(shown, printed) is same


def test_an_id_stays_what_it_was() -> None:
    likeness = Likeness()
    assert likeness.alike("ev_shown", "ev_real")
    assert likeness.real("postern events explain ev_shown") == "postern events explain ev_real"
    assert not likeness.alike("ev_shown", "ev_other")


def test_a_change_that_fits_nowhere_is_an_error() -> None:
    assert changed("a\nb\nc\n", " a\n-b\n+B\n") == "a\nB\nc\n"
    with pytest.raises(AssertionError, match="not one place"):
        changed("a\n", "-b\n+B\n")
