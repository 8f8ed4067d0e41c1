"""The yardsticks: endpoints that do nothing, on uvicorn with the settings of `receiver.server`.

`python -m tests.benchmarks.noop KIND PORT` serves one of them.
"""

import sys
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def nothing(request: Request) -> Response:
    return Response()


async def body_read(request: Request) -> Response:
    await request.body()
    return Response()


class Nothing:
    """Starlette calls an endpoint that is no function as the ASGI application it is, without a Request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await raw(scope, receive, send)


def _routed(endpoint: Callable[[Request], Awaitable[Response]] | ASGIApp) -> Starlette:
    return Starlette(
        routes=[
            Route("/webhooks/{source}", endpoint, methods=["POST"]),
            Route("/readyz", nothing),
        ]
    )


KINDS: dict[str, ASGIApp] = {
    "function": _routed(nothing),
    "function-body": _routed(body_read),
    "class": _routed(Nothing()),
    "raw": raw,
}


def main(kind: str, port: int) -> None:
    uvicorn.run(
        KINDS[kind],
        port=port,
        http="httptools",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
