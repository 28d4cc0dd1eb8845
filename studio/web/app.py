"""The FastAPI app: routes, guards and error answers over the services. Gradio is mounted on it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from studio.services.container import Services
from studio.web.dependencies import WebParts
from studio.web.errors import SENTENCES, LastResort, add_error_handlers, plain_error
from studio.web.mcp.door import PATH as MCP_PATH
from studio.web.mcp.door import McpDoor
from studio.web.models import ErrorAnswer
from studio.web.openapi import DescribedApp
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
    studio_works,
    system,
    webhook_pages,
    webhooks,
    workers,
)
from studio.web.security import AnswerHeaders, BodyRules, BrowserPolicy, DoorGuard
from studio.web.static import OwnFiles
from studio.web.visitors import Visitors

TITLE = "OurVidz Studio"
DESCRIPTION = "Order pictures, follow them, find them again. Errors are {error: {code, message, field?}}."
OWN_PREFIXES = ("/api", "/media", MCP_PATH)
OWN_ADDRESSES = (
    *OWN_PREFIXES,
    *(f"{prefix}/{{rest:path}}" for prefix in OWN_PREFIXES),
    "/healthz",
    "/readyz",
    "/metrics",
)
"""These are ours: what no route takes is answered in our form and never reaches Gradio."""
ROUTERS = (
    jobs.router,
    library.router,
    events.router,
    media.router,
    accounts.router,
    keys.router,
    limits.router,
    admin.router,
    studio_works.router,
    system.router,
    sign_in.router,
    outside.router,
    account_pages.router,
    people_pages.router,
    webhooks.router,
    webhook_pages.router,
)
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
    app = DescribedApp(
        has_accounts=parts.accounts is not None,
        title=TITLE,
        description=DESCRIPTION,
        version=version,
        lifespan=_with(assistants, lifespan),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={500: {"model": ErrorAnswer}},
    )
    app.state.services = services
    app.state.parts = parts
    app.state.policy = policy
    add_error_handlers(app)
    routers = ROUTERS if parts.workers is None else (*ROUTERS, workers.router)
    for router in routers:
        app.include_router(router)
    app.router.routes.extend(assistants.routes())
    app.router.routes.append(OwnFiles("/static", static_dir))
    for address in OWN_ADDRESSES:
        app.router.routes.append(Route(address, _NothingHere(routers)))
    _add_guards(app, policy, parts)
    return app


def _with(assistants: McpDoor, lifespan: Lifespan | None) -> Lifespan:
    """`lifespan` with the door for assistants open inside it."""

    @asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app) if lifespan else nullcontext(), assistants.running():
            yield

    return both


def _add_guards(app: FastAPI, policy: BrowserPolicy, parts: WebParts) -> None:
    """The middleware, innermost first."""
    app.add_middleware(LastResort)
    app.add_middleware(BodyRules, deliveries_at=None if parts.workers is None else workers.PATH)
    if parts.accounts is not None:
        app.add_middleware(Visitors, identity=parts.accounts.identity)
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


class _NothingHere:
    """Answers every method with 404, or with 405 at an address of ours that answers others."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        every = [route for router in routers for route in router.routes]
        self._routes = [route for route in every if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed: set[str] = {"POST"} if scope["path"].rstrip("/") == MCP_PATH else set()
        partly = [route for route in self._routes if route.matches(scope)[0] is Match.PARTIAL]
        for route in partly:
            if route.path == partly[0].path:  # not what an address with a name in its place would answer
                allowed.update(route.methods or ())
        status, headers = (405, {"Allow": ", ".join(sorted(allowed))}) if allowed else (404, None)
        await plain_error(status, SENTENCES[status], headers=headers)(scope, receive, send)
