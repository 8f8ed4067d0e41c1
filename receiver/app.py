"""The only web wiring: which address leads where. What happens there is in `ingest.py` and `api/`.

Deliveries do not come this way: they enter by `door.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from receiver.api import operators
from receiver.api.probes import Probes, WorkerStatus
from receiver.ingest import Intake
from receiver.key_provider import KeyProvider
from receiver.metrics import Metrics
from receiver.problems import problem_response
from receiver.settings import Settings
from receiver.sources import Source
from receiver.store import Store
from receiver.wellformed import Limits

CODES = {404: "not_found", 405: "method_not_allowed", 400: "bad_request"}


@dataclass(frozen=True)
class Apps:
    """What the two listeners serve; without an admin port all of it is in `public`."""

    public: Starlette
    admin: Starlette
    intake: Intake
    """Where deliveries go, on the public listener only."""
    operators: operators.Operators
    drain: Callable[[], None]
    """Say from now on that this process is not ready."""


def create_app(
    settings: Settings,
    store: Store,
    sources: Mapping[str, Source],
    metrics: Metrics,
    worker: WorkerStatus | None = None,
    limits: Limits | None = None,
    key_provider: KeyProvider | None = None,
) -> Apps:
    health = Probes(store, metrics, worker)
    intake = Intake(sources, store, metrics, settings.public_url, limits or Limits(), key_provider)
    public: list[BaseRoute] = [Route("/healthz", health.alive), Route("/readyz", health.ready)]
    v1 = operators.Operators(admin_token(settings))
    admin: list[BaseRoute] = [Route("/metrics", health.metrics), Mount("/v1", v1)]
    if settings.server.admin_port is None:
        return Apps(Pages([*public, *admin]), Pages([]), intake, v1, health.drain)
    return Apps(Pages(public), Pages([*public, *admin]), intake, v1, health.drain)


def admin_token(settings: Settings) -> bytes | None:
    """Errors: UserError where it cannot be read."""
    return settings.resolve(settings.admin_token, "admin_token") if settings.admin_token else None


class Pages(Starlette):
    """Starlette with our errors and no redirects."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        super().__init__(routes=list(routes), exception_handlers={HTTPException: _refused, Exception: _failed})
        self.router.redirect_slashes = False  # to where the Host header says, and vendors do not follow it


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return problem_response(error.status_code, CODES.get(error.status_code, "refused"), headers=headers)


async def _failed(request: Request, error: Exception) -> Response:
    return problem_response(503, "internal")
