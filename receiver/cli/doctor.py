"""`postern doctor`: looks for whatever stands in the way, one line each, with what to type. It changes nothing.

What is looked at stands in `checks.py`.
"""

from dataclasses import asdict

import click

from receiver.cli.common import json_option, one_line, print_json
from receiver.cli.signature import signature


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> int:
    """Look for whatever stands in the way; exits 1 if something does."""
    from receiver.cli.checks import Finding, findings

    if ctx.invoked_subcommand is not None:
        return 0

    def tell(finding: Finding) -> None:
        if as_json:
            print_json(asdict(finding))
            return
        click.echo(f"{finding.state:<5} {finding.check:<14} {one_line(finding.text)}")
        if finding.fix:
            click.echo(f"{'':<21}{one_line(finding.fix)}")

    failed = False
    for finding in findings():
        tell(finding)
        failed |= finding.state == "fail"
    return int(failed)


doctor.add_command(signature)
