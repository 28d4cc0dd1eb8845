"""What webhooks tell of, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.database.schema import ENDED, Asset
from studio.services.views import asset_json, iso

JOB_EVENTS = tuple(f"job.{status}" for status in ENDED)
PING = "webhook.ping"
"""What a test sends."""
LINKS = ("url", "thumbnail_url", "preview_url", "download_url")
Json = dict[str, Any]


def job_event(status: str) -> str:
    """The name of the event that a job has ended as `status`."""
    return f"job.{status}"


def job_payload(event: str, at: float, job: Json, assets: Sequence[Asset], public_url: str | None) -> Json:
    """What a receiver is told: the job and its assets as the REST API gives them. Links are absolute where the
    studio's `public_url` is known. `at` is when it happened, in seconds since 1970."""
    shown = [_with_links(asset_json(asset), public_url or "") for asset in assets]
    return {"type": event, "timestamp": iso(at), "data": {"job": job, "assets": shown}}


def ping_payload(at: float, webhook_id: str) -> Json:
    """What a test tells."""
    return {"type": PING, "timestamp": iso(at), "data": {"webhook_id": webhook_id}}


def _with_links(asset: Json, public_url: str) -> Json:
    links = {name: public_url + asset[name] for name in LINKS if asset[name] is not None}
    return {**asset, **links}
