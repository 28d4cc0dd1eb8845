"""The FastAPI app: routes, guards and error answers over the services. Gradio is mounted on it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match

from studio.services.container import Services
from studio.web.dependencies import WebParts
from studio.web.errors import LastResort, add_error_handlers, plain_error
from studio.web.identity import Identity
from studio.web.mcp.door import PATH as MCP_PATH
from studio.web.mcp.door import McpDoor
from studio.web.models import ErrorAnswer
from studio.web.routes import (
    account_pages,
    accounts,
    admin,
    events,
    jobs,
    keys,
    library,
    limits,
    media,
    outside,
    people_pages,
    sign_in,
    system,
    webhook_pages,
    webhooks,
)
from studio.web.security import AnswerHeaders, BodyRules, BrowserPolicy, DoorGuard
from studio.web.static import OwnFiles
from studio.web.visitors import Visitors

TITLE = "OurVidz Studio"
DESCRIPTION = "Order pictures, follow them, find them again. Errors are {error: {code, message, field?}}."
OWN_PREFIXES = ("/api", "/media", MCP_PATH)
"""Everything under these is ours: an unknown address answers in our form and never reaches Gradio."""
ROUTERS = (
    jobs.router,
    library.router,
    events.router,
    media.router,
    accounts.router,
    keys.router,
    limits.router,
    admin.router,
    system.router,
    sign_in.router,
    outside.router,
    account_pages.router,
    people_pages.router,
    webhooks.router,
    webhook_pages.router,
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    services: Services,
    static_dir: Path,
    *,
    parts: WebParts,
    policy: BrowserPolicy,
    version: str,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The app with every route of ours. `static_dir` holds the files answered under /static.

    Mount Gradio afterwards at "/": routes registered here win over its own.
    """
    assistants = McpDoor(services, parts, version)
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=version,
        lifespan=_with(assistants, lifespan),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": ErrorAnswer}, "5XX": {"model": ErrorAnswer}},
    )
    app.state.services = services
    app.state.parts = parts
    app.state.policy = policy
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.extend(assistants.routes())
    app.router.routes.append(OwnFiles("/static", static_dir))
    for prefix in OWN_PREFIXES:
        app.add_api_route(prefix, _nothing_here, methods=list(METHODS), include_in_schema=False)
        app.add_api_route(prefix + "/{rest:path}", _nothing_here, methods=list(METHODS), include_in_schema=False)
    _add_guards(app, policy, parts.accounts.identity if parts.accounts else None)
    return app


def _with(assistants: McpDoor, lifespan: Lifespan | None) -> Lifespan:
    """`lifespan` with the door for assistants open inside it."""

    @asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app) if lifespan else nullcontext(), assistants.running():
            yield

    return both


def _add_guards(app: FastAPI, policy: BrowserPolicy, identity: Identity | None) -> None:
    """The middleware, innermost first."""
    app.add_middleware(LastResort)
    app.add_middleware(BodyRules)
    if identity is not None:
        app.add_middleware(Visitors, identity=identity)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(policy.origins),
        allow_credentials=True,
        allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Range"],
        expose_headers=["Retry-After", "ETag", "Content-Range", "Content-Disposition"],
    )
    app.add_middleware(DoorGuard, policy=policy)
    app.add_middleware(AnswerHeaders, policy=policy)


async def _nothing_here(request: Request) -> JSONResponse:
    """404, or 405 for an address of ours that answers other methods."""
    allowed: set[str] = {"POST"} if request.url.path.rstrip("/") == MCP_PATH else set()
    for route in (route for router in ROUTERS for route in router.routes):
        match, _ = route.matches(request.scope)
        if match is Match.PARTIAL:
            allowed.update(getattr(route, "methods", None) or ())
    if allowed:
        return plain_error(
            405, "This address does not answer that method.", headers={"Allow": ", ".join(sorted(allowed))}
        )
    return plain_error(404, "There is nothing at this address.")
