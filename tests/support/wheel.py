"""The wheel of this tree, as `python -m build` makes it."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGED = ("receiver", "processors", "fixtures")


def build_wheel(folder: Path) -> Path:
    """Built from a copy, because a build folder left in the tree brings its old files into the wheel."""
    tree = folder / "tree"
    for name in PACKAGED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(tree)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))
