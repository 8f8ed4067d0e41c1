"""What we know of vendors, as data: one TOML file each, in the keys that users write in `[sources.NAME]`.

Besides the signature they tell `docs` (an address), `covers` (what the signature protects, in words), `echo`
(a handshake inside a signed request) and `sample_headers` (what the vendor always sends, for signing only).
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from receiver.errors import UserError


@cache
def preset_names() -> tuple[str, ...]:
    names = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def _load(name: str) -> Mapping[str, Any]:
    return MappingProxyType(tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8")))


def preset(name: str, where: str) -> Mapping[str, Any]:
    if name not in preset_names():
        near = get_close_matches(name, preset_names(), 1)
        fix = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(preset_names())}"
        raise UserError(f"there is no preset {name!r}", where, fix)
    return _load(name)
