"""`postern serve`: the options that override the configuration, and what a person at a terminal is told.

Serving itself is `receiver.serve`; starting anew after a change is `reload.py`.
"""

import os
import sys
from functools import partial

import click
from pydantic import TypeAdapter, ValidationError

from receiver.cli.common import configuration_file, load_settings
from receiver.setting_types import HttpUrl
from receiver.settings import Settings, load


def _checked(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    try:
        return TypeAdapter(HttpUrl | None).validate_python(url)
    except ValidationError as error:
        raise click.BadParameter(str(error.errors()[0]["ctx"]["error"])) from None


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here instead of [server] host.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="And here; 0 is a free one.")
@click.option("--public-url", metavar="URL", callback=_checked, help="What vendors call.")
@click.option("--reload", is_flag=True, help="Start anew when the project's code or configuration changes.")
def serve(host: str | None, port: int | None, public_url: str | None, reload: bool) -> None:
    """Receive deliveries; with memory:// the worker is inside."""
    said = {"POSTERN_SERVER__HOST": host, "POSTERN_SERVER__PORT": port, "POSTERN_PUBLIC_URL": public_url}
    environ = {name: str(value) for name, value in said.items() if value is not None}
    variables = {**os.environ, **environ}
    settings = load_settings(variables)
    if reload:
        from receiver.cli.reload import restart_on_change

        sys.exit(restart_on_change(settings.root))
    from receiver import log
    from receiver.serve import serve as serve_until_stopped  # brings the store and the web in

    log.set_up()
    if sys.stderr.isatty():
        _welcome(settings)
    serve_until_stopped(settings, partial(load, configuration_file(), variables))


def _welcome(settings: Settings) -> None:
    """Where vendors post to; what else a start has to say is logged."""
    if not settings.sources:
        click.echo("No source is configured: add [sources.NAME] to postern.toml, or type postern init", err=True)
    base = settings.public_url or f"http://{settings.server.host}:{settings.server.port}"
    for name in settings.sources if settings.public_url or settings.server.port else ():
        click.echo(f"  {name:<12}  {base.rstrip('/')}/webhooks/{name}", err=True)
