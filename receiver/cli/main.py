"""Which commands there are, each imported when it is typed; and how errors are printed: at most three lines."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click

from receiver import __version__, hangup
from receiver.cli.common import Invocation, complain, config_option
from receiver.errors import UserError

COMMANDS = {
    "init": ("receiver.cli.init:init", "Write a small working project."),
    "serve": ("receiver.cli.serve:serve", "Receive deliveries; with memory:// the worker is inside."),
    "worker": ("receiver.cli.worker:worker", "Run workers, for redis or amqp."),
    "send": ("receiver.cli.send:send", "Sign a fixture as its vendor would, and post it."),
    "status": ("receiver.cli.status:status", "One screen: sources, workers, failures, what to type."),
    "events": ("receiver.cli.events:events", "List, show and explain stored events."),
    "rejections": ("receiver.cli.rejections:rejections", "List and show refused requests."),
    "replay": ("receiver.cli.replay:replay", "Run stored events anew."),
    "runs": ("receiver.cli.unbuilt:runs", "Decide about single runs (not built yet)."),
    "sources": ("receiver.cli.sources:sources", "The configured sources and their addresses."),
    "doctor": ("receiver.cli.doctor:doctor", "Look for whatever stands in the way."),
    "config": ("receiver.cli.config:config", "Check the configuration."),
    "db": ("receiver.cli.db:db", "Make, upgrade and move the store."),
}
"""Import string and one line of help: `postern --help` imports none of them."""
HEEDS_SIGHUP = ("serve", "worker")


class Commands(click.Group):
    """Imports a command when it is typed: `send` need not wait for what only `events` uses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        _take_config(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _take_config(command: click.Command) -> None:
    """`--config` may stand after the command as well as before it."""
    if not any(parameter.name == "config" for parameter in command.params):
        command.params.append(config_option())
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _take_config(inner)


@click.group(cls=Commands, params=[config_option()], invoke_without_command=True)
@click.version_option(__version__, message="postern %(version)s")
@click.pass_context
def postern(ctx: click.Context) -> None:
    """A gate for webhooks: verifies them, keeps the exact bytes, runs your handlers until their work is done, once."""
    if ctx.invoked_subcommand not in HEEDS_SIGHUP:
        hangup.release()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has seen enough (`| head`); the interpreter's own last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong use."""
    try:
        code = postern.main(list(arguments), prog_name="postern", obj=Invocation(), standalone_mode=False)
    except UserError as error:
        complain(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.message, err=True)
        return 2
    except click.UsageError as error:
        complain(_usage(error))
        return error.exit_code
    except click.ClickException as error:
        complain(error.format_message())
        return error.exit_code
    except click.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _usage(error: click.UsageError) -> str:
    """What is wrong, and the nearest there is or what to type."""
    ctx = error.ctx
    if ctx is None:
        return error.format_message()
    unknown = _unknown(error, ctx)
    if unknown is None:
        what = error.format_message().splitlines()[0]
        return f"{what[:1].lower()}{what[1:]}\n  {ctx.get_usage().splitlines()[0]}"
    typed, kind, known = unknown
    near = get_close_matches(typed, known, 1)
    fix = f"Did you mean {ctx.command_path} {near[0]}?" if near else f"Type {ctx.command_path} --help"
    return f"{ctx.command_path} has no {kind} {typed}\n  {fix}"


def _unknown(error: click.UsageError, ctx: click.Context) -> tuple[str, str, list[str]] | None:
    """What was typed that does not exist, what it would be, and those there are."""
    if isinstance(error, click.NoSuchOption):
        return error.option_name, "option", [name for parameter in ctx.command.params for name in parameter.opts]
    command = getattr(error, "command_name", None)
    if command is None or not isinstance(ctx.command, click.Group):
        return None
    return command, "command", ctx.command.list_commands(ctx)
