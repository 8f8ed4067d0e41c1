"""What we know of vendors, as data: one TOML file each, in the keys that users write in `[sources.NAME]`.

Besides the signature they tell, in words, `docs` (an address), `covers` (what the signature protects), `retries`,
`redeliver` (how to have something sent again) and `proof` (how the preset was proven); and, for signing only,
`sample_headers`, which the vendor always sends, and `sample_secret`, of which the … stands for what differs.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from receiver.errors import UserError

LIST: Final = "postern init --help lists them"
_MOST_NEAR: Final = 3
_LEAST_PART: Final = 3


@cache
def preset_names() -> tuple[str, ...]:
    names = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def _load(name: str) -> Mapping[str, Any]:
    return MappingProxyType(tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8")))


def near_presets(name: str) -> list[str]:
    """Those that may be meant: `google` is part of one, `strpe` is nearly one."""
    parts = [known for known in preset_names() if name in known and len(name) >= _LEAST_PART]
    return list(dict.fromkeys(parts + get_close_matches(name, preset_names(), _MOST_NEAR)))[:_MOST_NEAR]


def preset(name: str, where: str) -> Mapping[str, Any]:
    if name not in preset_names():
        near = " or ".join(f'"{one}"' for one in near_presets(name))
        raise UserError(f"there is no preset {name!r}", where, f"did you mean {near}?" if near else LIST)
    return _load(name)
