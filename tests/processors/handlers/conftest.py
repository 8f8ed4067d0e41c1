"""The project that the examples' docstrings describe, as the current folder: `deliver` reads its sources and apis."""

from pathlib import Path

import pytest

from tests.journeys.demo.project import EXAMPLES, configuration


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postern.toml").write_text("\n".join(configuration(name) for name in EXAMPLES))
    monkeypatch.chdir(tmp_path)
