"""Which secrets are there: for those who show the configuration and must not stop at the first that is missing."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.errors import UserError
from receiver.references import Secret
from receiver.schemes import Key
from receiver.settings import Settings, Table
from receiver.sources import build_key, build_source, describe_source, key_places


def source_keys(name: str, settings: Settings) -> Iterator[tuple[Secret, Key | UserError]]:
    """Each reference with its key, or with what is wrong with it. Errors: UserError if the source itself is wrong."""
    scheme = describe_source(name, settings).scheme
    for place in key_places(settings.sources[name], scheme, name):
        try:
            yield place.reference, build_key(place, settings)
        except UserError as error:
            yield place.reference, error


def refused_by_serve(settings: Settings) -> Iterator[UserError]:
    """What `postern serve` would say of its secrets and keys: of each source the first that is wrong."""
    for name in settings.sources:
        try:
            build_source(name, settings)
        except UserError as error:
            yield error
    yield from _unread(settings, [("admin_token", settings.admin_token)])


def missing_elsewhere(settings: Settings) -> Iterator[UserError]:
    """What is wrong with the secrets of apis, the words of handshakes, and the admin token."""
    words = ((f"[sources.{name}] verify_token", source.verify_token) for name, source in settings.sources.items())
    yield from _unread(settings, [("admin_token", settings.admin_token), *words])
    yield from missing_for_apis(settings)


def missing_for_apis(settings: Settings) -> Iterator[UserError]:
    """These stop nothing: the runs that need them are parked."""
    yield from _unread(settings, ((f"[apis.{name}]", api) for name, api in settings.apis.items()))


def _unread(settings: Settings, held: Iterable[tuple[str, Any]]) -> Iterator[UserError]:
    for where, reference in (found for place, value in held for found in _references(value, place)):
        try:
            settings.resolve(reference, where)
        except UserError as error:
            yield error


def _references(value: Any, where: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield where, value
    if isinstance(value, Table | Mapping):
        for key, inner in value.items() if isinstance(value, Mapping) else value:
            yield from _references(inner, f"{where} {key}" if where.endswith("]") else f"{where}.{key}")
