"""`make demo` is what a newcomer sees first: that it shows the whole job, can fail, and leaves nothing running."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journeys.demo.deliveries import DELIVERIES, DONE, LAST
from tests.journeys.demo.report import Report
from tests.journeys.demo.story import tell

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "tests.journeys.demo"]
SOURCES = ("stripe", "github", "shopify", "slack", "standardwebhooks", "acme")


def test_the_demo_shows_the_whole_job_on_one_screen_and_its_commands_work(tmp_path: Path) -> None:
    demo = subprocess.run(
        [*DEMO, tmp_path / "demo"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout
    assert all(f"  {source}  " in demo.stdout for source in SOURCES)
    assert len(demo.stdout.splitlines()) <= 32
    assert "\033" not in demo.stdout
    commands = re.findall(r"^  \S*postern (--config .+?)  +# ", demo.stdout, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        typed = [sys.executable, "-m", "receiver", *shlex.split(command)]
        subprocess.run(typed, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=30)


def test_the_demo_fails_when_something_comes_out_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = replace(DELIVERIES[0], expected=replace(DONE, effects=2))
    assert tell(tmp_path / "demo", [planted], LAST, Report()) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if "should be" in line]
    assert wrong[1:] == ["stripe/payment_intent.succeeded: effects should be 2, not 1"]


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*DEMO, tmp_path / "demo"], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert demo.stdout is not None
    said = next(line for line in demo.stdout if "(process " in line)
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the service gets it too
    rest, _ = demo.communicate(timeout=60)
    assert (demo.returncode, rest.splitlines()[-1]) == (130, "stopped, and the service with it")
    number = re.search(r"\(process (\d+)\)", said)
    assert number is not None
    with pytest.raises(ProcessLookupError):
        os.kill(int(number[1]), 0)
