"""What is installed: the wheel's files, the lock, the targets of make.

Not here: how an installed Postern behaves (journeys/).
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

import receiver
from tests.support.wheel import build_wheel

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
CODE = ("receiver", "processors")
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as built:
        yield built


def test_the_list_of_packages_is_the_tree() -> None:
    folders = {path.parent for top in CODE for path in _sources(top)}
    expected = {".".join(folder.parts) for folder in folders} | {"receiver.fixtures"}
    assert sorted(expected) == PYPROJECT["tool"]["setuptools"]["packages"]


def test_the_wheel_holds_every_file_of_the_tree_and_no_other(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    code = {path.as_posix() for top in CODE for path in _sources(top)}
    fixtures = {f"receiver/{path.as_posix()}" for path in _sources("fixtures") if path.suffix != ".md"}
    assert inside == code | fixtures
    assert {"receiver/py.typed", "processors/py.typed"} <= inside


def test_the_wheel_names_the_version_of_the_code_and_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    info = f"postern-{receiver.__version__}.dist-info"
    assert f"\nVersion: {receiver.__version__}\n" in wheel.read(f"{info}/METADATA").decode()
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert wheel.read(f"{info}/entry_points.txt") == b"[console_scripts]\npostern = receiver.__main__:main\n"


def test_an_installed_wheel_finds_its_fixtures(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = (
        "from importlib.resources import files; import receiver; print(receiver.__file__);"
        "print((files('receiver.fixtures') / 'shopify/orders/create.json').read_text())"
    )
    where, _, text = _run(sys.executable, "-c", code, cwd=tmp_path, path=tmp_path / "site").partition("\n")
    assert Path(where).is_relative_to(tmp_path)
    assert text.strip() == (ROOT / "fixtures/shopify/orders/create.json").read_text().strip()


def test_an_editable_install_finds_its_fixtures() -> None:
    found = files("receiver.fixtures") / "shopify" / "orders" / "create.json"
    assert found.read_bytes() == (ROOT / "fixtures/shopify/orders/create.json").read_bytes()


def test_every_import_of_another_project_is_a_declared_dependency() -> None:
    distributions = packages_distributions()
    imported = {name for top in CODE for path in _sources(top, "*.py") for name in _imports(path)}
    foreign = imported - sys.stdlib_module_names - set(CODE)
    needed = {canonicalize_name(distribution) for name in foreign for distribution in distributions[name]}
    assert needed - {_name(requirement) for requirement in PROJECT["dependencies"]} == set()


def test_the_lock_satisfies_every_requirement() -> None:
    pinned = _pins()
    extras = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *extras["test"], *extras["dev"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[_name(text)]), text


def test_the_lock_holds_pins_with_hashes_and_comments_and_nothing_else() -> None:
    rest = PIN.sub("", (ROOT / "requirements.lock").read_text())
    assert [line for line in rest.splitlines() if line.strip() and not line.lstrip().startswith("#")] == []
    assert "/" not in rest  # no address of an index, no path of a machine
    assert len(_pins()) > len(PROJECT["dependencies"])


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    listed = re.findall(r"^  ([a-z]+) +\S", _run("make", "-s"), re.MULTILINE)
    assert listed == phony[1].split()


def test_an_old_python_is_refused_with_what_to_type(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    result = _make_setup(tmp_path, old)
    assert result.returncode != 0
    assert result.stderr.startswith(f"Postern needs Python 3.11 or newer; {old} is Python 3.9.2.\n")
    assert "make setup PYTHON=python3.12" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_refused_with_what_to_type(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    bare.chmod(0o755)
    result = _make_setup(tmp_path, bare)
    assert result.returncode != 0
    assert result.stderr.startswith(f"{bare} comes without its module venv.\n")
    assert "apt-get install python3-venv" in result.stderr


def _sources(top: str, pattern: str = "*") -> list[Path]:
    """All files below a folder of the repository, as paths from its root."""
    found = (path.relative_to(ROOT) for path in (ROOT / top).rglob(pattern) if path.is_file())
    return [path for path in found if "__pycache__" not in path.parts]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def _name(requirement: str) -> NormalizedName:
    return canonicalize_name(Requirement(requirement).name)


def _pins() -> dict[NormalizedName, str]:
    found = PIN.findall((ROOT / "requirements.lock").read_text())
    return {canonicalize_name(name): version for name, version, _ in found}


def _run(*command: str, cwd: Path = ROOT, path: Path | None = None) -> str:
    environ = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    result = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _make_setup(tmp_path: Path, python: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
