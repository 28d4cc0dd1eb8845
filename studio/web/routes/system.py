"""Health, figures and documentation of the studio."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from studio.web.dependencies import Acting, Administrator, ServicesOf, StoppingOf, VitalsOf
from studio.web.docs_page import docs_page
from studio.web.models import DevicesAnswer, ReadyAnswer, SystemAnswer
from studio.web.openapi import OPEN_TO_ALL

router = APIRouter()


@router.get("/healthz", tags=["system"], response_class=PlainTextResponse, openapi_extra=OPEN_TO_ALL)
async def healthz() -> str:
    """The process is up."""
    return "ok"


@router.get(
    "/readyz",
    tags=["system"],
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "It cannot take work just now"}},
    openapi_extra=OPEN_TO_ALL,
)
def readyz(vitals: VitalsOf, stopping: StoppingOf) -> JSONResponse:
    """200 while the studio can take work, 503 with the reasons while it cannot."""
    failing = ["stopping"] if stopping.begun else vitals.failing()
    status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
    return JSONResponse({"ready": not failing, "failing": failing}, status_code=status)


@router.get("/metrics", tags=["system"], response_class=PlainTextResponse)
def metrics(_admin: Administrator, vitals: VitalsOf) -> Response:
    """Figures for Prometheus; for administrators."""
    return Response(vitals.metrics(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/system", tags=["system"], response_model=SystemAnswer)
async def system(_admin: Administrator, vitals: VitalsOf) -> dict[str, Any]:
    """Worker processes, the memory they share, and queues; for administrators."""
    # The orchestrator belongs to the event loop, the database to a thread.
    workers = [asdict(worker) for worker in vitals.workers()]
    devices = [asdict(device) for device in vitals.devices()]
    waiting = await to_thread.run_sync(vitals.waiting_by_lane)
    return {"workers": workers, "devices": devices, "waiting": waiting}


@router.get("/api/device", tags=["system"], response_model=DevicesAnswer)
async def device(_person: Acting, services: ServicesOf) -> dict[str, Any]:
    """How full each device is: what models and running jobs occupy, of the bytes that may be planned with."""
    known = services.orchestrator.devices()
    return {
        "devices": [
            {
                "device": one.device,
                "budget_bytes": one.budget_bytes,
                "used_bytes": one.held_bytes + one.working_bytes,
            }
            for one in known
        ]
    }


@router.get("/api/docs", include_in_schema=False)
def docs(request: Request, _person: Acting) -> HTMLResponse:
    """The operations of this API on one page."""
    return HTMLResponse(docs_page(request.app.openapi(), request.app.openapi_url))
