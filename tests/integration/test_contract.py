"""The public names that clients rely on, asked of the running program."""

from __future__ import annotations

import httpx

from tests.live import StudioServer

ENDPOINTS = {
    "/generate",
    "/submit_job",
    "/get_job",
    "/cancel_job",
    "/retry_job",
    "/list_jobs",
    "/list_assets",
    "/get_asset",
    "/delete_asset",
    "/job_types",
    "/enhance_prompt",
}
ORDER = ["prompt", "job_type", "negative_prompt", "width", "height", "steps", "guidance", "seed", "count", "image"]
ORDER += ["mask", "strength", "project"]
ROUTES = {
    "/api/queue-job",
    "/api/jobs",
    "/api/jobs/{job_id}",
    "/api/jobs/{job_id}/cancel",
    "/api/jobs/{job_id}/retry",
    "/api/jobs/{job_id}/wait",
    "/api/assets",
    "/api/assets/{asset_id}",
    "/api/assets/{asset_id}/restore",
    "/api/projects",
    "/api/events",
    "/api/uploads",
    "/api/enhance-prompt",
    "/media/{asset_id}",
    "/media/{asset_id}/thumbnail",
    "/media/{asset_id}/preview",
    "/healthz",
    "/readyz",
    "/metrics",
}


def test_the_python_client_sees_the_contract_and_nothing_else(studio_server: StudioServer) -> None:
    info = httpx.get(f"{studio_server.url}/gradio_api/info").raise_for_status().json()
    assert set(info["named_endpoints"]) == ENDPOINTS
    assert info["unnamed_endpoints"] == {}
    for name in ("/generate", "/submit_job"):
        assert [one["parameter_name"] for one in info["named_endpoints"][name]["parameters"]] == ORDER


def test_the_rest_routes_of_the_contract_are_documented(studio_server: StudioServer) -> None:
    document = httpx.get(f"{studio_server.url}/api/openapi.json").raise_for_status().json()
    assert set(document["paths"]) >= ROUTES
