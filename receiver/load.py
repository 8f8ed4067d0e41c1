"""The one place that loads code by import string: the processors, and users' handler modules and schemes."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver.errors import UserError
from receiver.settings import Settings

CONFIG = "POSTERN_CONFIG"


def put_on_path(root: Path) -> None:
    """The folder of the configuration comes first, the same for `postern` and for `python -m receiver`."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def environ_for_child(settings: Settings) -> dict[str, str]:
    """For a process of ours that is to have our configuration, and to import what we can."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return environ if settings.path is None else {**environ, CONFIG: str(settings.path)}


def load(target: str) -> Any:
    """`module:attribute`, or a whole `module`."""
    module, _, attribute = target.partition(":")
    loaded: Any = importlib.import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def load_modules(modules: Sequence[str]) -> None:
    """Import users' handler modules. Errors: UserError with the line that failed, whatever was raised there."""
    for module in modules:
        try:
            importlib.import_module(module)
        except UserError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            first_line = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(
                f"the handler module {module!r} does not import: {first_line}",
                _line_of(error, module),
                "Intake goes on and events wait. Mend it, then restart.",
            ) from error


def _line_of(error: BaseException, module: str) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename and f.filename != __file__
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"[handlers] modules: {module}"
