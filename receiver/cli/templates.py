"""What `postern init` writes, as text: a project that works with no other service.

What is done about a source's events stands in `example.py`, its secrets in `made_up.py`; `init.py` decides what is
written where.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from receiver.cli.example import Example, example_of
from receiver.cli.made_up import MadeUp, made_up_keys
from receiver.fixture import file_of, kind_of
from receiver.schemes.presets import preset_names
from receiver.settings import Settings
from receiver.sources import describe_source, merged_keys


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source that a new project starts with, and what things of it are called."""

    name: str
    preset: str | None
    example: Example
    keys: MadeUp

    @property
    def word(self) -> str:
        return word_of(self.name)

    @property
    def handler(self) -> str:
        return f"{self.word}_{self.example.thing}".replace(" ", "_")

    @property
    def model(self) -> str:
        return "".join(part.capitalize() for part in self.handler.split("_"))

    @property
    def fixture(self) -> str:
        return f"{self.name}/{self.example.fixture.name.partition('/')[2]}"

    @property
    def fixture_file(self) -> str:
        return f"fixtures/{file_of(self.fixture)}"

    @property
    def table(self) -> str:
        """Its part of postern.toml."""
        key = self.name if re.fullmatch(r"[a-z0-9_-]+", self.name) else json.dumps(self.name)
        return "\n".join([f"[sources.{key}]", _known(self.name), *self.keys.lines, ""])


def new_source(name: str) -> NewSource:
    preset = name if name in preset_names() else None
    settings = Settings.model_validate({"sources": {name: tomllib.loads(_known(name))}})
    scheme = describe_source(name, settings).scheme
    example = example_of(kind_of(settings.sources[name]), scheme)
    keys = made_up_keys(scheme, merged_keys(name, settings), word_of(name).upper())
    return NewSource(name, preset, example, keys)


def word_of(name: str) -> str:
    """A source's name as part of a Python identifier."""
    word = re.sub(r"\W", "_", name)
    return word if word.isidentifier() else f"source_{word}"


def _known(name: str) -> str:
    """What postern.toml says of it besides its keys."""
    header = "-".join(part.capitalize() for part in re.split(r"[^a-z0-9]+", name) if part)
    return f'preset = "{name}"' if name in preset_names() else _PRIVATE_TABLE.format(header=header)


_PRIVATE_TABLE = """\
# A private vendor. This is how its deliveries look; change it to what yours sends.
scheme = "hmac"
signature = "header:X-{header}-Signature"
signature_format = "t={{timestamp}},v1={{signature}}"
content = "{{timestamp}}.{{body}}"
id = "body:id"
type = "body:type"
data = "body:data\""""


def files(sources: Sequence[NewSource]) -> dict[str, str]:
    """Path and text of each file, the fixtures apart."""
    return {
        "postern.toml": configuration(sources),
        "webhooks.py": _HANDLERS + "\n\n".join(map(_handler, sources)),
        "tests/test_webhooks.py": _TESTS + "\n\n".join(map(_test, sources)),
        "pytest.ini": _PYTEST,
        ".env": _ENV + "".join(map(_variables, sources)),
        ".env.example": _ENV_EXAMPLE + "".join(_variables(source, empty=True) for source in sources),
        ".gitignore": _GITIGNORE,
    }


def _variables(source: NewSource, *, empty: bool = False) -> str:
    """The lines of `.env`."""
    about = _PUBLIC_KEY.format(name=source.name) if source.keys.is_public_key else ""
    return about + "".join(f"{name}={'' if empty else made_up}\n" for name, made_up in source.keys.secrets.items())


def configuration(sources: Sequence[NewSource]) -> str:
    return _CONFIGURATION.format(tables="\n".join(source.table for source in sources))


def _handler(source: NewSource) -> str:
    example = source.example
    shape = example.shape(source.model)
    types = ", ".join(f'"{type_}"' for type_ in example.types)
    said = ", ".join(f"{{{value}}}" for value in shape.values[:2])
    classes = "".join(f"{one}\n\n\n" for one in shape.classes)
    return (
        f'{classes}@on("{source.name}", {types})\n'
        f"async def {source.handler}(event: Event[{shape.kind}], ctx: Context) -> None:\n"
        f'    await ctx.step("note", note, f"{example.thing}: {said}")\n'
    )


def _test(source: NewSource) -> str:
    return (
        f"def test_{source.handler}_is_noted() -> None:\n"
        f'    delivered = deliver(webhooks.{source.handler}, "{source.fixture}")\n'
        '    assert delivered.state == "succeeded"\n'
    )


_CONFIGURATION = """\
# Vendors post to http://127.0.0.1:8000/webhooks/NAME, NAME being a source's below.
# Only what differs from the defaults has to stand here; `postern config check` reads it.

{tables}
[handlers]
modules = ["webhooks"]  # webhooks.py beside this file

# An upstream that handlers call, as ctx.api("ledger"):
# [apis.ledger]
# base_url = "https://ledger.example.com"
# auth = {{ type = "bearer", token = "env:LEDGER_TOKEN" }}
"""

_HANDLERS = '''\
"""What is done about the events that vendors send: each function under @on is a handler."""

import logging

from pydantic import BaseModel

from processors import Context, Event, on

log = logging.getLogger(__name__)


def note(text: str) -> str:
    """Stands for your own work. What it returns is recorded, so that no retry and no replay does it again."""
    log.info(text)
    return text


'''

_TESTS = '''\
"""The handlers, each given a fixture as Postern would give it: no server, no network, nothing stored."""

import webhooks
from processors.testing import deliver


'''

_PYTEST = """\
[pytest]
pythonpath = .
testpaths = tests
"""

_ENV = """\
# Secrets made up by `postern init`. For real traffic put the vendors' own in their place. Never commit this file.
"""

_PUBLIC_KEY = """\
# {name}: made up as well, a private key to sign with. What goes here for real traffic is no secret: the public key
# that the vendor shows you, of your application or your webhook.
"""

_ENV_EXAMPLE = """\
# What .env must hold: for each source the secret that its vendor signs with.
"""

_GITIGNORE = """\
# never a secret, never a store
.env
postern.db*
*.bak
__pycache__/
.pytest_cache/
"""
