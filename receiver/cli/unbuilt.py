"""Commands of the contract that this version does not have yet: they exist, say so, and exit 2."""

import click

from receiver.cli.common import not_built

runs = click.Group("runs", help="Decide about single runs.")
runs.add_command(not_built("resolve"))
