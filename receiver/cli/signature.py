"""`postern doctor signature`: why the signature of a request does not fit. It explains, and never accepts.

The request is a kept rejection, or a file with one as it stood on the wire. What is tried stands in `diagnosis.py`.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from receiver.cli.common import json_option, load_settings, print_json, reading
from receiver.cli.filters import moment, utf8
from receiver.diagnosis import Case, Cause, Secret, causes, hint
from receiver.errors import UserError
from receiver.load import put_on_path
from receiver.schemes import Headers, Key, Refused, Request, Scheme
from receiver.schemes.presets import preset, preset_names
from receiver.settings import Settings
from receiver.sources import build_key, describe_source, key_places, make_scheme, merged_keys

REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?\n")


class Came(NamedTuple):
    """A request as it came."""

    source: str | None
    method: str
    scheme: str
    target: str
    """Its path and query."""
    headers: list[tuple[bytes, bytes]]
    body: bytes
    at: datetime
    rejection: str = ""
    code: str | None = None
    """The one it was refused with then."""


@click.command()
@click.argument("request", metavar="REJECTION-or-FILE", type=utf8)
@click.option("--source", type=utf8, metavar="NAME", help="The source it was sent to, if the file does not say it.")
@click.option("--at", type=moment, metavar="TIME", help="When it came, if that was not when the file was written.")
@json_option
def signature(request: str, source: str | None, at: datetime | None, as_json: bool) -> int:
    """Say why the signature of a request does not fit.

    A FILE holds it as it stood on the wire: request line, headers, an empty line, the body.
    """
    settings = load_settings()
    put_on_path(settings.root)
    came = _rejection(request, settings) if request.startswith("rej_") else _file(Path(request))
    name = source or came.source
    if name is None:
        raise UserError(f"which source {request} was sent to cannot be seen", fix="Add --source NAME", exit_code=2)
    case = _case(name, came._replace(at=at or came.at), settings)
    code = _refused(case)
    found = _no_signature_at_fault(came, code, name) or causes(case)
    for cause in found or [hint(case)]:
        if as_json:
            print_json(asdict(cause) | {"source": name, "code": code})
        else:
            click.echo(f"{cause.what}\n  {cause.fix}")
    return 0 if found else 1


def _no_signature_at_fault(came: Came, code: str | None, name: str) -> list[Cause]:
    from receiver.reverify import REPAIRABLE

    if came.code is not None and came.code not in REPAIRABLE:
        fix = f"Type postern rejections show {came.rejection}"
        return [Cause(f"it was refused as {came.code}, and not for its signature", fix)]
    if code is None:
        return [Cause("the signature is right now", f"Type postern rejections reverify --source {name}")]
    return []


def _refused(case: Case) -> str | None:
    """The code with which it is refused today; None where it is not."""
    now = time.time()
    scheme = case.make(case.keys)
    keys = [key for key in case.own_keys if key.not_after is None or now < key.not_after]
    try:
        scheme.verify(case.request, keys, case.received_at)
    except Refused as refused:
        return refused.code
    return None


def _case(name: str, came: Came, settings: Settings) -> Case:
    from receiver.ingest import called_url

    scheme = describe_source(name, settings).scheme  # or says that there is none
    secrets = [secret for other in settings.sources for secret in _secrets(other, settings)]
    keys, where = merged_keys(name, settings), f"[sources.{name}]"
    query, headers = came.target.partition("?")[2], Headers(came.headers)
    url = called_url(name, query, keys.get("public_url"), settings.public_url, came.scheme, headers)
    return Case(
        source=name,
        keys=keys,
        request=Request(came.method, url, headers, came.body, query.encode("latin-1"), scheme.parse),
        received_at=came.at.timestamp(),
        own_keys=list(_keys(name, scheme, settings)),
        own=[secret for secret in secrets if secret.source == name],
        others=[secret for secret in secrets if secret.source != name],
        presets={other: preset(other, where) for other in preset_names() if other != settings.sources[name].preset},
        make=lambda merged: make_scheme(merged, where),
    )


def _keys(name: str, scheme: Scheme, settings: Settings) -> Iterator[Key]:
    for place in key_places(settings.sources[name], scheme, name):
        with suppress(UserError):
            yield build_key(place, settings)


def _secrets(name: str, settings: Settings) -> Iterator[Secret]:
    """Those that can be read: one that is missing is told by `postern doctor`."""
    for entry in settings.sources[name].secrets:
        with suppress(UserError):
            yield Secret(name, str(entry.ref), settings.resolve(entry.ref, f"[sources.{name}] secrets"))


def _rejection(name: str, settings: Settings) -> Came:
    from receiver.headers import header_pairs
    from receiver.store import reads

    with reading(settings) as session:
        found = reads.rejection(session, name)
    if found is None:
        raise UserError(f"there is no rejection {name!r}", fix="Only the newest are kept: type postern rejections list")
    row, headers, body = found
    if row.kept_bytes < row.size_bytes:
        what = f"of the body of {name} only {row.kept_bytes} of {row.size_bytes} bytes are kept"
        raise UserError(what, fix="Have the vendor send it again, and catch it in a file")
    return Came(
        row.source, row.method, row.scheme, row.target, header_pairs(headers), body, row.received_at, row.id, row.code
    )


def _file(path: Path) -> Came:
    try:
        content, written = path.read_bytes(), path.stat().st_mtime
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", fix="Name a rejection (rej_…) or a file") from None
    line = REQUEST_LINE.match(content)
    head, end, body = content[line.end() :].partition(b"\r\n\r\n") if line else (b"", b"", b"")
    if line and not end:
        head, end, body = content[line.end() :].partition(b"\n\n")
    if not line or not end:
        fix = "It begins with POST /webhooks/NAME HTTP/1.1; then headers, an empty line, the body"
        raise UserError(f"{path} holds no HTTP request", fix=fix)
    target = line[2].decode("latin-1")
    source = re.search(r"/webhooks/([^/?]+)", target)
    at = datetime.fromtimestamp(written, UTC)
    pairs = (line.partition(b":") for line in head.splitlines())
    headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    return Came(source and source[1], line[1].decode(), "https", target, headers, body, at)
