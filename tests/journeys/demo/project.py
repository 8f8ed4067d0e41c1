"""The demo's project, in which the shipped examples are the handlers.

The configuration of the sources and apis is the one that stands in each example's docstring.
"""

import importlib
import os
import re
import secrets
import socket
from base64 import b64encode
from pathlib import Path

from receiver.settings import Settings, load

EXAMPLES = tuple(
    f"processors.handlers.{name}" for name in ("stripe", "github", "shopify", "slack", "standardwebhooks", "private")
)
LEASE_S = 3
LISTED = "\n".join(f'    "{name}",' for name in EXAMPLES)
OWN = f"""\
# Written by the demo, anew each time.
[server]
port = {{port}}
[worker]
lease_s = {LEASE_S}            # short, so that what a killed process left is soon taken over
retry_first_s = 0.3
retry_factor = 2
[handlers]
modules = [
{LISTED}
]

"""


class Trouble(Exception):
    """The demo cannot go on."""


def make_project(folder: Path, upstream: str) -> Settings:
    """postern.toml and .env, as a user would have them; secrets are made up."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Trouble(f"{folder} is there already: name a folder that is not") from None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    blocks = "\n\n".join(configuration(name) for name in EXAMPLES)
    blocks = re.sub(r'(\[apis\.(\w+)\]\nbase_url = )"[^"]*"', rf'\1"{upstream}/\2"', blocks)
    named = sorted(set(re.findall(r'"env:(\w+)"', blocks)))
    (folder / "postern.toml").write_text(OWN.format(port=port) + blocks + "\n")
    (folder / ".env").write_text("".join(f"{name}={_made_up()}\n" for name in named))
    return load(folder / "postern.toml", environment(folder))


def configuration(module: str) -> str:
    """The tables of sources and apis in an example's docstring."""
    lines = (importlib.import_module(module).__doc__ or "").splitlines()
    block = "\n".join(line.removeprefix("    ") for line in lines if not line or line.startswith("    "))
    return block.partition("[handlers]")[0].strip()


def environment(folder: Path) -> dict[str, str]:
    """This process's, without what would speak louder than the project's own files."""
    dotenv = folder / ".env"
    own = {line.partition("=")[0] for line in dotenv.read_text().splitlines()}
    return {name: value for name, value in os.environ.items() if name not in own and not name.startswith("POSTERN_")}


def _made_up() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()
