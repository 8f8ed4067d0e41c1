"""Imports the handler modules in a process of its own: whatever they do at import, they do it to nobody else."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.errors import UserError
from receiver.load import load, load_modules, put_on_path
from receiver.settings import Settings

PATIENCE_S = 60.0
CHILD = "from receiver.cli.imports import main; main()"


@dataclass(frozen=True)
class Found:
    """A handler, the (source, pattern) pairs it asks for, and its line."""

    name: str
    routes: Sequence[Sequence[str]]
    place: str


def found_handlers(settings: Settings) -> list[Found]:
    """Errors: UserError, as a worker would have it."""
    command = [sys.executable, "-c", CHILD, str(settings.root), *settings.handlers.modules]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        child = subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"importing takes longer than {PATIENCE_S:.0f} s", "[handlers] modules") from None
    if child.returncode or not child.stdout:
        said = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UserError(f"importing ended the process, exit code {child.returncode}: {said}", "[handlers] modules")
    answer = json.loads(child.stdout)
    if "what" in answer:
        raise UserError(answer["what"], answer["where"], answer["fix"])
    return [Found(**handler) for handler in answer["handlers"]]


def main() -> None:
    """The child: prints what it found as JSON, and ends without what modules left to be done at exit."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what modules print is no answer
    root, *modules = sys.argv[1:]
    json.dump(_imported(Path(root), modules), answer)
    answer.close()
    os._exit(0)


def _imported(root: Path, modules: Sequence[str]) -> dict[str, Any]:
    try:
        put_on_path(root)
        load_modules(modules)
        handlers = load("processors.handler:by_name")(load("processors.handler:REGISTERED"))
    except UserError as error:
        return {"what": error.what, "where": error.where, "fix": error.fix}
    return {
        "handlers": [{"name": h.name, "routes": h.routes, "place": h.place} for h in dict.fromkeys(handlers.values())]
    }
