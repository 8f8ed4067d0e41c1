"""A running process reads its configuration again: what can change goes into service, the rest is named.

A bad new configuration changes nothing: it is told, and the old one stays. What is put into service is for `serve.py`
and `worker.py` to say, and so is which signal asks for it. Handlers' code is not read again: that needs a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from receiver.errors import UserError
from receiver.settings import Settings, SourceSettings
from receiver.sources import Source

log = logging.getLogger("postern")

FIXED: Final = ("server", "store", "queue", "worker", "handlers")
"""Tables that count until the process ends."""

Swap = Callable[[], None]
"""Puts into service what is ready for it; cannot fail."""

Prepare = Callable[[Settings, Settings], Swap]
"""Makes what the second ones say ready, in place of the first ones. Errors: UserError."""


class Rereading:
    def __init__(self, settings: Settings, load: Callable[[], Settings], prepare: Prepare) -> None:
        """`load` is how the settings were read."""
        self.settings = settings
        self.trouble: str | None = None
        """What is wrong with the new ones, where the old ones had to stay."""
        self._load = load
        self._prepare = prepare
        self._one_at_a_time = asyncio.Lock()

    async def reread(self) -> None:
        """What takes time is done in a thread; the swap itself between two turns of the loop."""
        async with self._one_at_a_time:
            swap = await asyncio.to_thread(self.read)
            if swap is not None:
                swap()

    def read(self) -> Swap | None:
        """None where they are bad."""
        try:
            settings = self._load()
            _insist_on_sources(self.settings, settings)
            swap = self._prepare(self.settings, settings)
        except UserError as error:
            self._refuse(error.what, error.where, error.fix)
        except Exception as error:  # a scheme of the user's own may raise anything
            self._refuse(f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            return lambda: self._take(settings, swap)
        return None

    def _refuse(self, what: str, where: str = "", fix: str = "") -> None:
        self.trouble = f"{what} ({where})" if where else what
        log.error(
            "the new configuration is bad, and the old one stays: %s", what,
            extra={"where": where or None, "next": f"{fix or 'Mend it'}. Then send SIGHUP again"},
        )  # fmt: skip

    def _take(self, settings: Settings, swap: Swap) -> None:
        old, self.settings, self.trouble = self.settings, settings, None
        swap()
        for warning in settings.warnings:
            log.warning("%s", warning)
        for table in FIXED:
            if getattr(settings, table) != getattr(old, table):
                log.warning("[%s] is not as it was at the start: that counts after a restart", table)
        self.settings = settings.model_copy(update={table: getattr(old, table) for table in FIXED})


def _insist_on_sources(old: Settings, new: Settings) -> None:
    """A file that is missing, empty or cut off is a UserError: what then comes from a vendor would not be kept."""
    if old.path and not new.path:
        raise UserError(f"{old.path} does not exist", fix="Put it back")
    where, restart = str(new.path or ""), "if that is meant, restart"
    if old.sources and not new.sources:
        raise UserError("no source is left", where, f"Put [sources] back, or, {restart}")
    for name in old.sources.keys() & new.sources:
        if _has_keys(old.sources[name]) and not _has_keys(new.sources[name]):
            fix = f"Put them back; to end it, take [sources.{name}] out wholly; or, {restart}"
            raise UserError(f"{name} had keys and now has none", where, fix)


def _has_keys(source: SourceSettings) -> bool:
    return bool(source.secrets or source.public_keys or source.keys or source.trust_anchors)


def differences(
    old: tuple[Settings, Mapping[str, Source]], new: tuple[Settings, Mapping[str, Source]]
) -> Iterator[str]:
    """What has changed, source by source; keys as their references and fingerprints."""
    (was, before), (is_now, after) = old, new
    if was.public_url != is_now.public_url:
        yield f"public_url is {is_now.public_url or 'not set'}"
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name} is gone"
        elif name not in before:
            yield f"{name} is new, with {_keys(after[name])}"
        else:
            if before[name].keys != after[name].keys:
                yield f"{name} has {_keys(after[name])}"
            if other := _changed(was, is_now, name):
                yield f"{name} has another {', '.join(other)}"


def _keys(source: Source) -> str:
    return ", ".join(key.shown for key in source.keys) or "no key"


def _changed(was: Settings, is_now: Settings, name: str) -> list[str]:
    old, new = was.sources[name], is_now.sources[name]
    return [key for key, value in new if key != "secrets" and value != getattr(old, key)]
