"""What the examples say of themselves: the configuration in each docstring is complete, and nothing runs without it."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from processors.handler import REGISTERED, by_name
from receiver.settings import Settings, load
from receiver.sources import build_source, unused_keys
from tests.journeys.demo.project import EXAMPLES

each_example = pytest.mark.parametrize("module", EXAMPLES)


def configured(module: str, folder: Path) -> Settings:
    """The settings that somebody has who copies the docstring's configuration, and sets the variables it names."""
    lines = (importlib.import_module(module).__doc__ or "").splitlines()
    copied = "\n".join(line for line in lines if line.startswith("    "))
    file = folder / "postern.toml"
    file.write_text(copied)
    return load(file, dict.fromkeys(re.findall(r"env:(\w+)", copied), "whsec_bWFkZSB1cA=="))


@each_example
def test_the_configuration_in_its_docstring_is_whole(module: str, tmp_path: Path) -> None:
    settings = configured(module, tmp_path)
    (name,) = settings.sources
    assert len(build_source(name, settings).keys) == 1
    assert unused_keys(name, settings) == []
    assert settings.warnings == ()
    assert settings.handlers.modules == (module,)


@each_example
def test_it_handles_and_calls_only_what_its_docstring_configures(module: str, tmp_path: Path) -> None:
    settings = configured(module, tmp_path)
    handlers = [handler for handler in REGISTERED if handler.function.__module__ == module]
    assert {source for handler in handlers for source, _ in handler.routes} == set(settings.sources)
    source = Path(importlib.import_module(module).__file__ or "").read_text()
    assert set(re.findall(r'ctx\.api\("(\w+)"\)', source)) == set(settings.apis)


def test_all_examples_can_be_used_at_once() -> None:
    of_examples = [handler for handler in REGISTERED if handler.function.__module__ in EXAMPLES]
    assert len(by_name(of_examples)) == len(of_examples)


def test_no_example_registers_unless_it_is_named() -> None:
    asked = (
        "import processors.actors, processors.handlers; from processors.handler import REGISTERED; print(REGISTERED)"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "[]\n"
