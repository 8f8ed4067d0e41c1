"""What somebody has who installs Postern: the wheel in an empty environment, a project of its own, and no tree."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.until import until
from tests.support.wheel import ROOT, build_wheel

FIXTURE = "stripe/payment_intent.succeeded"
START_S = 60.0
DONE = "  stripe_payment is finished, succeeded (1 attempt, 0 failed)\nnext\n  Nothing: it is done\n"


def test_an_installed_wheel_does_the_main_job_outside_the_tree(installed: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    assert "wrote shop/postern.toml\n" in _said(installed, tmp_path, "postern", "init", "shop")
    with _serving(installed, shop):
        sent = _said(installed, shop, "postern", "send", FIXTURE, "--wait")
        assert sent.endswith("  done\n")
        assert _said(installed, shop, "postern", "events", "explain", sent.split()[3]).endswith(DONE)
    assert "1 passed" in _said(installed, shop, "pytest")


def test_its_environment_holds_what_it_asks_for_and_nothing_of_the_tree(installed: Path) -> None:
    ask = "import receiver, processors, sys; print(receiver.__file__, processors.__file__, *sys.path, sep='\\n')"
    found = [Path(line) for line in _said(installed, installed, "python", "-c", ask).splitlines() if line]
    assert all(path.is_relative_to(installed) for path in found[:2])
    assert not any(path.is_relative_to(ROOT) for path in found)
    assert _said(installed, installed, "python", "-m", "pip", "check") == "No broken requirements found.\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with `postern[test]`. No index is asked: what the wheel needs is copied from the environment that
    runs the tests. What is declared and not there, pip refuses; what is used and not declared, is not there."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    for needed in _needed():
        _copy(needed, environment)
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index")
    _said(environment, environment, *pip, f"postern[test] @ {wheel.as_uri()}")
    return environment


def _needed() -> Iterator[Distribution]:
    """All that `postern[test]` leads to, each once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        found = distribution(requirement.name)
        for asked in {(found.name, extra) for extra in ("", *requirement.extras)} - seen:
            waiting += [text for text in found.requires or () if _asked(Requirement(text), asked[1])]
            seen.add(asked)
            if not asked[1]:
                yield found


def _asked(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _copy(found: Distribution, environment: Path) -> None:
    packages = next(environment.glob("lib/python*/site-packages"))
    for file in found.files or ():
        source = Path(str(file.locate()))
        if source.suffix == ".pyc":
            continue
        if file.parts[0] != "..":
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        elif source.parent.name == "bin":
            _, _, code = source.read_text().partition("\n")
            (environment / "bin" / source.name).write_text(f"#!{environment}/bin/python\n{code}")
            (environment / "bin" / source.name).chmod(0o755)


def _environ(environment: Path) -> dict[str, str]:
    """Nothing but the way to its commands: no PYTHONPATH, no secret, no variable of ours."""
    return {"PATH": f"{environment}/bin:{os.defpath}", "HOME": str(environment), "LANG": "C.UTF-8"}


def _said(environment: Path, folder: Path, command: str, *arguments: str) -> str:
    done = subprocess.run(
        [environment / "bin" / command, *arguments],
        cwd=folder, env=_environ(environment), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@contextmanager
def _serving(environment: Path, folder: Path) -> Iterator[None]:
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [environment / "bin" / "postern", "serve", "--port", "0"],
            cwd=folder, env=_environ(environment), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        until(lambda: "listening on" in log.read_text() or process.poll() is not None, START_S, "a start")
        yield
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
