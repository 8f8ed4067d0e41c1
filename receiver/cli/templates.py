"""What `postern init` writes, as text: a project that works with no other service.

One example for each preset, and one for a private vendor; `init.py` decides which are written where.
"""

import base64
import json
import re
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver.schemes.presets import preset_names


@dataclass(frozen=True, slots=True)
class Example:
    """Of a preset's events the one that a new project handles: `thing` names it, `fields` and `note` are code."""

    type: str
    thing: str
    fields: tuple[str, ...]
    note: str
    secret: Callable[[], str]
    drop: str = ""


def _letters(count: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


EXAMPLES = {
    "stripe": Example(
        "payment_intent.succeeded", "payment",
        ("id: str", "amount: int", "currency: str", "customer: str | None = None"),
        "paid {event.data.amount} {event.data.currency}",
        lambda: f"whsec_{_letters(32)}",
        'if event.data.customer is None:\n        raise Drop("an anonymous payment")',
    ),
    "github": Example(
        "pull_request.opened", "pull request", ("number: int", "action: str"),
        "pull request {event.data.number} was {event.data.action}", lambda: _letters(40),
    ),
    "shopify": Example(
        "orders/create", "order", ("name: str", "total_price: str", "currency: str"),
        "order {event.data.name}: {event.data.total_price} {event.data.currency}",
        lambda: secrets.token_hex(32),
    ),
    "slack": Example(
        "app_mention", "mention", ("user: str", "channel: str", "text: str"),
        "{event.data.user} mentioned us in {event.data.channel}", lambda: secrets.token_hex(16),
    ),
    "standardwebhooks": Example(
        "invoice.paid", "invoice", ("id: str", "total: int", "currency: str"),
        "invoice {event.data.id}: {event.data.total} {event.data.currency}",
        lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    ),
}  # fmt: skip
PRIVATE = Example(
    "order.created", "order", ("order: str", "total: str", "currency: str"),
    "order {event.data.order}: {event.data.total} {event.data.currency}", lambda: _letters(40),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source that a new project starts with, and what things of it are called."""

    name: str

    @property
    def preset(self) -> str | None:
        return self.name if self.name in preset_names() else None

    @property
    def example(self) -> Example:
        return EXAMPLES.get(self.name, PRIVATE)

    @property
    def word(self) -> str:
        """The name as part of a Python identifier."""
        word = re.sub(r"\W", "_", self.name)
        return word if word.isidentifier() else f"source_{word}"

    @property
    def variable(self) -> str:
        return f"{self.word.upper()}_WEBHOOK_SECRET"

    @property
    def handler(self) -> str:
        return f"{self.word}_{self.example.thing}".replace(" ", "_")

    @property
    def model(self) -> str:
        return "".join(part.capitalize() for part in self.handler.split("_"))

    @property
    def fixture(self) -> str:
        return f"{self.name}/{self.example.type}"

    @property
    def table(self) -> str:
        """Its part of postern.toml."""
        key = self.name if re.fullmatch(r"[a-z0-9_-]+", self.name) else json.dumps(self.name)
        says = f'preset = "{self.preset}"' if self.preset else _PRIVATE_TABLE.format(header=_header(self.name))
        return f'[sources.{key}]\n{says}\nsecrets = ["env:{self.variable}"]  # newest first; two while you rotate\n'


def _header(name: str) -> str:
    return "-".join(part.capitalize() for part in re.split(r"[^a-z0-9]+", name) if part)


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
        "webhooks.py": _HANDLERS.format(
            drop="Drop, " if any(s.example.drop for s in sources) else "",
            handlers="\n\n".join(map(_handler, sources)),
        ),
        "tests/test_webhooks.py": _TESTS + "\n\n".join(map(_test, sources)),
        "pytest.ini": _PYTEST,
        ".env": _ENV + "".join(f"{s.variable}={s.example.secret()}\n" for s in sources),
        ".env.example": _ENV_EXAMPLE + "".join(f"{s.variable}=\n" for s in sources),
        ".gitignore": _GITIGNORE,
    }


def configuration(sources: Sequence[NewSource]) -> str:
    return _CONFIGURATION.format(tables="\n".join(source.table for source in sources))


def _handler(source: NewSource) -> str:
    example = source.example
    fields = "\n    ".join(example.fields)
    steps = [example.drop, f'await ctx.step("note", note, f"{example.note}")']
    body = "\n    ".join(step for step in steps if step)
    return (
        f"class {source.model}(BaseModel):\n    {fields}\n\n\n"
        f'@on("{source.name}", "{example.type}")\n'
        f"async def {source.handler}(event: Event[{source.model}], ctx: Context) -> None:\n    {body}\n"
    )


def _test(source: NewSource) -> str:
    return (
        f"def test_{source.handler}_is_noted() -> None:\n"
        f'    assert deliver(webhooks.{source.handler}, "{source.fixture}").state == "succeeded"\n'
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

from processors import Context, {drop}Event, on

log = logging.getLogger(__name__)


def note(text: str) -> str:
    """Stands for your own work. What it returns is recorded, so that no retry and no replay does it again."""
    log.info(text)
    return text


{handlers}'''

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
