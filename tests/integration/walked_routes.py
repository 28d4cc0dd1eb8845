"""The inventory of the walk: every route of the app and what is asked of it.

`{name}` in an address or a body stands for something of Ann's. Walked as Ben and as nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount


class Kind(Enum):
    """What Ben gets; nobody gets 401 but at what is OPEN."""

    OWN = "his own, with nothing of Ann's in it"
    THING = "the same as for what never was"
    ADMIN = "403: he is no administrator"
    CLOSED = "404: nobody gets through"
    OPEN = "the same for everybody, signed in or not"


Route = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request. `route` is the app's own name of what is asked; `body` goes as JSON, `form` as a form."""

    route: Route
    kind: Kind
    address: str
    body: Any = None
    form: dict[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.route[0]


def step(kind: Kind, route: str, address: str | None = None, **rest: Any) -> Step:
    """`route` is "METHOD /path"; the address asked is that path unless it is given."""
    method, _, path = route.partition(" ")
    return Step(route=(method, path), kind=kind, address=address or path, **rest)


OWN, THING, ADMIN, CLOSED, OPEN = Kind.OWN, Kind.THING, Kind.ADMIN, Kind.CLOSED, Kind.OPEN
ORDER = {"prompt": "a red boat", "count": 1}
EVENT = {"session_hash": "{session}", "fn_index": 0, "event_id": "{event}"}
FILE = {"path": "{upload_path}", "meta": {"_type": "gradio.FileData"}}
NAMED = {**ORDER, "job_type": "sdxl_image_fast", "count": 1}

REST = (
    step(OWN, "POST /api/queue-job", body=ORDER),
    step(OWN, "POST /api/queue-job", body=ORDER, headers={"Idempotency-Key": "ann-1"}),
    step(THING, "POST /api/queue-job", body={**ORDER, "image": "{upload}"}),
    step(THING, "POST /api/queue-job", body={**ORDER, "image": "{asset}"}),
    step(THING, "POST /api/queue-job", body={**ORDER, "image": "{asset}", "mask": "{upload}"}),
    step(THING, "POST /api/queue-job", body={**ORDER, "project": "{project}"}),
    step(OWN, "GET /api/jobs"),
    step(OWN, "GET /api/jobs", "/api/jobs?status=completed&limit=200"),
    step(OWN, "GET /api/jobs/summary"),
    step(OWN, "GET /api/estimate", "/api/estimate?job_type=sdxl_image_fast"),
    step(OWN, "POST /api/enhance-prompt", body={"prompt": "a red boat", "kind": "image"}),
    step(OWN, "GET /api/job-types"),
    step(THING, "GET /api/jobs/{job_id}", "/api/jobs/{job}"),
    step(THING, "POST /api/jobs/{job_id}/cancel", "/api/jobs/{running}/cancel"),
    step(THING, "POST /api/jobs/{job_id}/retry", "/api/jobs/{job}/retry"),
    step(THING, "GET /api/jobs/{job_id}/wait", "/api/jobs/{running}/wait?timeout_s=0"),
    step(THING, "GET /api/jobs/{job_id}/preview", "/api/jobs/{running}/preview"),
    step(OWN, "GET /api/assets", "/api/assets?limit=200"),
    step(OWN, "GET /api/assets", "/api/assets?trashed=true"),
    step(OWN, "GET /api/assets", "/api/assets?search=lighthouse"),
    step(THING, "GET /api/assets", "/api/assets?project={project}"),
    step(THING, "GET /api/assets/{asset_id}", "/api/assets/{asset}"),
    step(THING, "PATCH /api/assets/{asset_id}", "/api/assets/{asset}", body={"favourite": False}),
    step(THING, "PATCH /api/assets/{asset_id}", "/api/assets/{own_asset}", body={"project_id": "{project}"}),
    step(THING, "DELETE /api/assets/{asset_id}", "/api/assets/{asset}"),
    step(THING, "DELETE /api/assets/{asset_id}", "/api/assets/{trashed}?permanently=true"),
    step(OWN, "DELETE /api/trash"),
    step(OWN, "GET /api/storage"),
    step(OWN, "GET /api/usage"),
    step(OWN, "GET /api/usage", "/api/usage?month=2026-11"),
    step(THING, "POST /api/assets/{asset_id}/restore", "/api/assets/{trashed}/restore"),
    step(THING, "POST /api/assets/{asset_id}/run-again", "/api/assets/{asset}/run-again"),
    step(THING, "GET /api/assets/{asset_id}/compare", "/api/assets/{asset}/compare?with={asset}"),
    step(THING, "GET /api/assets/{asset_id}/compare", "/api/assets/{own_asset}/compare?with={asset}"),
    step(OWN, "GET /api/projects"),
    step(OWN, "POST /api/projects", body={"name": "Harbour"}),
    step(THING, "GET /api/projects/{project_id}", "/api/projects/{project}"),
    step(THING, "PATCH /api/projects/{project_id}", "/api/projects/{project}", body={"name": "Taken"}),
    step(THING, "DELETE /api/projects/{project_id}", "/api/projects/{project}"),
    step(THING, "GET /media/{asset_id}", "/media/{asset}"),
    step(THING, "GET /media/{asset_id}", "/media/{upload}"),
    step(THING, "GET /media/{asset_id}", "/media/{asset}", headers={"Range": "bytes=0-9"}),
    step(THING, "GET /media/{asset_id}", "/media/{asset}?download=1"),
    step(THING, "HEAD /media/{asset_id}", "/media/{asset}"),
    step(THING, "GET /media/{asset_id}/thumbnail", "/media/{asset}/thumbnail"),
    step(THING, "HEAD /media/{asset_id}/thumbnail", "/media/{asset}/thumbnail"),
    step(THING, "GET /media/{asset_id}/preview", "/media/{film}/preview"),
    step(THING, "HEAD /media/{asset_id}/preview", "/media/{film}/preview"),
    step(THING, "GET /gradio_api/file=asset/{name}", "/gradio_api/file=asset/{asset}.png"),
    step(THING, "HEAD /gradio_api/file=asset/{name}", "/gradio_api/file=asset/{asset}.png"),
    step(ADMIN, "GET /metrics"),
    step(ADMIN, "GET /api/system"),
    step(OWN, "GET /api/device"),
    step(OWN, "GET /api/docs"),
    step(OPEN, "GET /healthz"),
    step(OPEN, "GET /readyz"),
    step(OPEN, "GET /api/openapi.json"),
    step(OPEN, "HEAD /api/openapi.json"),
    step(OPEN, "GET /static/{path}", "/static/studio.css"),
)

PEOPLE = (
    step(OWN, "GET /api/me"),
    step(OWN, "GET /api/sessions"),
    step(THING, "DELETE /api/sessions/{session_id}", "/api/sessions/{sign_in}"),
    step(OWN, "GET /api/keys"),
    step(THING, "DELETE /api/keys/{key_id}", "/api/keys/{key}"),
    step(OWN, "GET /api/account/export"),
    step(OWN, "GET /api/webhooks"),
    step(OWN, "POST /api/webhooks", body={"url": "http://127.0.0.1:1024/ben"}),
    step(OWN, "GET /api/webhooks/job-secret"),
    step(OWN, "POST /api/webhooks/job-secret/rotate"),
    step(OWN, "GET /api/webhooks/deliveries"),
    step(THING, "GET /api/webhooks/deliveries", "/api/webhooks/deliveries?webhook={webhook}"),
    step(THING, "GET /api/webhooks/deliveries", "/api/webhooks/deliveries?job={job}"),
    step(THING, "GET /api/webhooks/deliveries/{delivery_id}", "/api/webhooks/deliveries/{message}"),
    step(
        THING, "POST /api/webhooks/deliveries/{delivery_id}/redeliver", "/api/webhooks/deliveries/{message}/redeliver"
    ),
    step(THING, "GET /api/webhooks/{webhook_id}", "/api/webhooks/{webhook}"),
    step(THING, "PATCH /api/webhooks/{webhook_id}", "/api/webhooks/{webhook}", body={"active": False}),
    step(THING, "DELETE /api/webhooks/{webhook_id}", "/api/webhooks/{webhook}"),
    step(THING, "POST /api/webhooks/{webhook_id}/rotate-secret", "/api/webhooks/{webhook}/rotate-secret"),
    step(THING, "POST /api/webhooks/{webhook_id}/test", "/api/webhooks/{webhook}/test"),
    step(OWN, "GET /account/webhooks"),
    step(OWN, "POST /account/webhooks", form={"url": "http://127.0.0.1:1024/ben", "events": "job.failed"}),
    step(THING, "POST /account/webhooks/{webhook_id}/secret", "/account/webhooks/{webhook}/secret", form={}),
    step(THING, "POST /account/webhooks/{webhook_id}/test", "/account/webhooks/{webhook}/test", form={}),
    step(THING, "POST /account/webhooks/{webhook_id}/active", "/account/webhooks/{webhook}/active", form={}),
    step(THING, "POST /account/webhooks/{webhook_id}/remove", "/account/webhooks/{webhook}/remove", form={}),
    step(
        THING,
        "POST /account/webhooks/deliveries/{delivery_id}/again",
        "/account/webhooks/deliveries/{message}/again",
        form={},
    ),
    step(ADMIN, "GET /api/admin/people"),
    step(ADMIN, "PATCH /api/admin/people/{user_id}", "/api/admin/people/{ann}", body={"role": "member"}),
    step(ADMIN, "DELETE /api/admin/people/{user_id}", "/api/admin/people/{ann}"),
    step(ADMIN, "POST /api/admin/people/{user_id}/reset", "/api/admin/people/{ann}/reset"),
    step(ADMIN, "GET /api/admin/invitations"),
    step(ADMIN, "POST /api/admin/invitations", body={"email": "c@example.org", "role": "member"}),
    step(ADMIN, "DELETE /api/admin/invitations/{invitation_id}", "/api/admin/invitations/x"),
    step(ADMIN, "GET /api/admin/audit"),
    step(ADMIN, "GET /api/admin/usage"),
    step(ADMIN, "GET /api/admin/usage", "/api/admin/usage?format=csv"),
    step(ADMIN, "GET /api/admin/allowances"),
    step(ADMIN, "PATCH /api/admin/allowances/{subject}", "/api/admin/allowances/{ann}", body={"pending_jobs": 0}),
    step(ADMIN, "PATCH /api/admin/allowances/{subject}", "/api/admin/allowances/member", body={"pending_jobs": 0}),
    step(ADMIN, "POST /api/admin/generate-image", body=ORDER),
    step(ADMIN, "GET /api/admin/generate-image/{job_id}", "/api/admin/generate-image/{job}"),
    step(ADMIN, "GET /api/admin/generate-image/{job_id}/files/{index}", "/api/admin/generate-image/{job}/files/0"),
    step(OWN, "GET /account"),
    step(THING, "POST /account/sessions/{session_id}/revoke", "/account/sessions/{sign_in}/revoke", form={}),
    step(THING, "POST /account/keys/{key_id}/revoke", "/account/keys/{key}/revoke", form={}),
    step(ADMIN, "GET /people"),
    step(ADMIN, "POST /people/invite", form={"email": "c@example.org", "role": "member"}),
    step(ADMIN, "POST /people/invitations/{invitation_id}/withdraw", "/people/invitations/x/withdraw", form={}),
    step(ADMIN, "POST /people/{user_id}/role", "/people/{ann}/role", form={"role": "admin"}),
    step(ADMIN, "POST /people/{user_id}/active", "/people/{ann}/active", form={"active": "no"}),
    step(ADMIN, "POST /people/{user_id}/reset", "/people/{ann}/reset", form={}),
    step(ADMIN, "POST /people/{user_id}/delete", "/people/{ann}/delete", form={}),
    step(ADMIN, "POST /people/limits/{subject}", "/people/limits/{ann}", form={"pending_jobs": "0"}),
)

GRADIO = (
    step(OWN, "GET /"),
    step(OWN, "GET /", "/?deep_link={session}"),
    step(OWN, "HEAD /"),
    step(OWN, "GET /gradio_api/app_id"),
    step(OWN, "GET /gradio_api/app_id/"),
    step(OWN, "GET /config"),
    step(OWN, "GET /config/", "/config/?deep_link={session}"),
    step(OWN, "GET /gradio_api/info"),
    step(OWN, "GET /gradio_api/info/", "/gradio_api/info/?all_endpoints=True"),
    step(THING, "GET /gradio_api/queue/data", "/gradio_api/queue/data?session_hash={session}"),
    step(THING, "GET /gradio_api/queue/data", "/gradio_api/queue/data?session_hash={ann}.{session}"),
    step(THING, "GET /gradio_api/call/{api_name}/{event_id}", "/gradio_api/call/generate/{event}"),
    step(THING, "GET /gradio_api/call/v2/{api_name}/{event_id}", "/gradio_api/call/v2/generate/{event}"),
    step(THING, "POST /gradio_api/cancel", body=EVENT),
    step(THING, "POST /gradio_api/reset", body={"event_id": "{event}"}),
    step(THING, "POST /gradio_api/reset/", body={"event_id": "{event}"}),
    step(THING, "HEAD /gradio_api/file={path_or_url}", "/gradio_api/file={upload_path}"),
    step(THING, "GET /gradio_api/file={path_or_url}", "/gradio_api/file={upload_path}"),
    step(THING, "POST /gradio_api/queue/join", body={"data": [FILE], "fn_index": 0, "session_hash": "{session}"}),
    step(THING, "POST /gradio_api/call/{api_name}", "/gradio_api/call/submit_job", body={"data": [FILE]}),
    step(THING, "POST /gradio_api/call/{api_name}/", "/gradio_api/call/generate/", body={"data": [[FILE]]}),
    step(THING, "POST /gradio_api/call/v2/{api_name}", "/gradio_api/call/v2/submit_job", body={**NAMED, "image": FILE}),
    step(
        THING, "POST /gradio_api/call/v2/{api_name}/", "/gradio_api/call/v2/submit_job/", body={**NAMED, "mask": FILE}
    ),
    step(THING, "POST /gradio_api/run/{api_name}", "/gradio_api/run/predict", body={"data": [FILE], "fn_index": 0}),
    step(CLOSED, "POST /gradio_api/run/{api_name}", "/gradio_api/run/list_jobs", body={"data": []}),
    *(
        step(CLOSED, route, address)
        for route, address in (
            ("GET /gradio_api/deep_link", "/gradio_api/deep_link?session_hash={session}"),
            ("GET /svelte/{path}", "/svelte/svelte.js"),
            ("GET /pwa_icon", None),
            ("GET /pwa_icon/{size}", "/pwa_icon/64"),
            ("GET /monitoring", None),
            ("GET /monitoring/summary", None),
            ("GET /monitoring/{key}", "/monitoring/{session}"),
            ("GET /gradio_api/user", None),
            ("GET /gradio_api/user/", None),
            ("GET /gradio_api/login_check", None),
            ("GET /gradio_api/login_check/", None),
            ("GET /gradio_api/token", None),
            ("GET /gradio_api/token/", None),
            ("GET /gradio_api/dev/reload", None),
            ("GET /gradio_api/runs", None),
            ("GET /gradio_api/runs/", None),
            ("GET /gradio_api/openapi.json", None),
            (
                "GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
                "/gradio_api/custom_component/x/client/component/style.css",
            ),
            ("HEAD /gradio_api/proxy={url_path}", "/gradio_api/proxy=x.hf.space"),
            ("GET /gradio_api/proxy={url_path}", "/gradio_api/proxy=x.hf.space"),
            ("POST /gradio_api/stream/{event_id}", "/gradio_api/stream/{event}"),
            ("POST /gradio_api/stream/{event_id}/close", "/gradio_api/stream/{event}/close"),
            (
                "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
                "/gradio_api/stream/{session}/0/1/playlist.m3u8",
            ),
            (
                "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
                "/gradio_api/stream/{session}/0/1/2.ts",
            ),
            (
                "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
                "/gradio_api/stream/{session}/0/1/playlist-file",
            ),
            ("GET /gradio_api/file/{path}", "/gradio_api/file/{upload_path}"),
            ("POST /gradio_api/run/{api_name}/", "/gradio_api/run/list_jobs/"),
            ("POST /gradio_api/api/{api_name}", "/gradio_api/api/list_jobs"),
            ("POST /gradio_api/api/{api_name}/", "/gradio_api/api/list_jobs/"),
            ("POST /gradio_api/component_server", None),
            ("POST /gradio_api/component_server/", None),
            ("GET /gradio_api/queue/status", None),
            ("GET /gradio_api/upload_progress", "/gradio_api/upload_progress?upload_id={session}"),
            ("GET /gradio_api/startup-events", None),
            ("POST /gradio_api/process_recording", None),
            ("POST /gradio_api/vibe-edit", None),
            ("POST /gradio_api/vibe-edit/", None),
            ("POST /gradio_api/undo-vibe-edit", None),
            ("POST /gradio_api/undo-vibe-edit/", None),
            ("GET /gradio_api/vibe-code", None),
            ("GET /gradio_api/vibe-code/", None),
            ("POST /gradio_api/vibe-code", None),
            ("POST /gradio_api/vibe-code/", None),
            ("POST /gradio_api/vibe-starter-queries", None),
            ("POST /gradio_api/vibe-starter-queries/", None),
        )
    ),
    # Not among the routes as the app is mounted, but Gradio's own at other settings.
    step(CLOSED, "GET /gradio_api/mcp", "/gradio_api/mcp/"),
    step(CLOSED, "POST /gradio_api/mcp", "/gradio_api/mcp/http/"),
    step(CLOSED, "GET /gradio_api/mcp", "/gradio_api/mcp/sse"),
    step(CLOSED, "GET /gradio_api/run-history", "/gradio_api/run-history/records"),
    step(CLOSED, "GET /gradio_api/profiling", "/gradio_api/profiling/traces"),
    step(CLOSED, "GET /openapi.json"),
    step(CLOSED, "HEAD /openapi.json"),
    step(CLOSED, "POST /gradio_api/call/{api_name}", "/gradio_api/call/run_sdxl", body={"data": ["guess"]}),
    step(CLOSED, "POST /gradio_api/call/v2/{api_name}", "/gradio_api/call/v2/run_sdxl", body={"ticket": "guess"}),
    step(CLOSED, "GET /gradio_api/call/{api_name}/{event_id}", "/gradio_api/call/run_sdxl/{event}"),
    step(OPEN, "GET /static/{path}", "/static/img/logo_nosize.svg"),
    step(OPEN, "GET /theme.css"),
    step(OPEN, "GET /gradio_api/theme.css"),
    step(OPEN, "GET /favicon.ico"),
    step(OPEN, "GET /robots.txt"),
    step(OPEN, "GET /manifest.json"),
)

STEPS = (*REST, *PEOPLE, *GRADIO)

WALKED_ELSEWHERE: dict[Route, str] = {
    ("POST", "/mcp"): "test_the_door_for_assistants",
    ("POST", "/mcp/"): "test_the_door_for_assistants",
    ("GET", "/api/events"): "test_the_event_stream",
    ("POST", "/api/uploads"): "test_uploads_on_either_way",
    ("POST", "/gradio_api/upload"): "test_uploads_on_either_way",
    ("GET", "/gradio_api/heartbeat/{session_hash}"): "test_the_end_of_a_strangers_heartbeat_ends_nothing",
}
"""Routes with a test of their own beside the walk, which names it."""

OF_ONESELF = (
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/login/"),
    ("GET", "/login/huggingface"),
    ("GET", "/login/callback"),
    ("POST", "/login/supabase"),
    ("POST", "/login/connect"),
    ("GET", "/signup"),
    ("POST", "/signup"),
    ("GET", "/logout"),
    ("POST", "/logout"),
    ("POST", "/api/keys"),
    ("DELETE", "/api/account"),
    ("POST", "/account/password"),
    ("POST", "/account/sessions/revoke-others"),
    ("POST", "/account/keys"),
    ("POST", "/account/delete"),
)
OF_WORKERS = (("POST", "/api/job-callback"), ("GET", "/api/job-callback/references/{token}"))
ONE_TIME_LINKS = tuple((method, f"/{page}/{{token}}") for method in ("GET", "POST") for page in ("setup", "reset"))
EXCUSED: dict[Route, str] = {
    ("GET", "/assets/{path}"): "Gradio's scripts, which everybody has from its package",
    **dict.fromkeys(
        OF_ONESELF, "a page or form about oneself alone: it takes no id; test_accounts or test_outside walks it"
    ),
    **dict.fromkeys(OF_WORKERS, "signed by a worker and about no person; test_remote_workers walks it"),
    **dict.fromkeys(ONE_TIME_LINKS, "whoever has the one-time token is the one it was made for"),
}
"""Routes that the walk leaves out, and why that is no hole."""


def routes_of(app: FastAPI) -> Iterator[Route]:
    """Every route of `app` and of what is mounted on it, Gradio behind its doors included."""
    yield from _routes(app.router.routes)


def _routes(routes: list[BaseRoute]) -> Iterator[Route]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, Mount):
            inner = getattr(route.app, "app", route.app)  # behind its doors
            yield from _routes(getattr(inner, "routes", None) or [])
            if route.path == "/static":
                yield "GET", "/static/{path}"
            continue
        path = (context.path or "").replace(":path}", "}")
        yield from ((method, path) for method in context.methods or ())
