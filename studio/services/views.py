"""Jobs and assets as the JSON that every client gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from studio.database.schema import Asset, Job


def iso(epoch_s: float) -> str:
    """Seconds since 1970 as ISO 8601 UTC, to the millisecond: 2026-11-22T19:45:00.123Z."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_json(
    job: Job, *, asset_ids: Sequence[str], queue_position: int, eta_s: float | None, usage: Mapping[str, Any]
) -> dict[str, Any]:
    """A job for clients. `queue_position` counts the jobs that come first; `eta_s` seconds until it is done; `usage` is
    what its ended attempts used of the GPU (`Price.tag`)."""
    return {
        "id": job.id,
        "type": job.type,
        "lane": job.lane,
        "status": job.status,
        "stage": job.stage,
        "prompt": job.prompt,
        "negative_prompt": job.negative_prompt,
        "enhanced_prompt": job.enhanced_prompt,
        "note": _note(job),
        "config": dict(job.config),
        "user_id": job.user_id,
        "project_id": job.project_id,
        "attempt": job.attempt,
        "created_at": iso(job.created_at),
        "started_at": _iso_or_none(job.started_at),
        "finished_at": _iso_or_none(job.finished_at),
        "cancel_requested": job.cancel_requested,
        "progress": {
            "fraction": round(job.fraction, 4),
            "step": job.step,
            "steps": job.steps,
            "queue_position": queue_position,
            "eta_s": None if eta_s is None else round(eta_s, 1),
        },
        "preview_url": _preview_url(job),
        "timings": {name: round(seconds, 3) for name, seconds in job.timings.items()},
        "usage": dict(usage),
        "receipt": job.receipt,
        "error": None if job.error_code is None else {"code": job.error_code, "message": job.error_message},
        "assets": list(asset_ids),
    }


def asset_json(asset: Asset) -> dict[str, Any]:
    """An asset for clients, with the addresses of its file, its thumbnail and, of a film, its moving preview."""
    url = f"/media/{asset.id}"
    return {
        "id": asset.id,
        "job_id": asset.job_id,
        "user_id": asset.user_id,
        "project_id": asset.project_id,
        "parent_id": asset.parent_id,
        "kind": asset.kind,
        "mime_type": asset.mime_type,
        "width": asset.width,
        "height": asset.height,
        "frames": asset.frames,
        "fps": asset.fps,
        "bytes": asset.bytes,
        "sha256": asset.sha256,
        "seed": asset.seed,
        "index": asset.index,
        "prompt": asset.prompt,
        "negative_prompt": asset.negative_prompt,
        "enhanced_prompt": asset.enhanced_prompt,
        "job_type": asset.job_type,
        "favourite": asset.favourite,
        "rating": asset.rating,
        "tags": list(asset.tags),
        "created_at": iso(asset.created_at),
        "trashed_at": _iso_or_none(asset.trashed_at),
        "url": url,
        "thumbnail_url": f"{url}/thumbnail",
        "preview_url": f"{url}/preview" if asset.kind == "video" else None,
        "download_url": f"{url}?download=1",
    }


def _iso_or_none(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else iso(epoch_s)


def _note(job: Job) -> str | None:
    """What its person should know of a job beside how it stands: why a rewritten prompt was not used."""
    note: str | None = ((job.receipt or {}).get("enhancement") or {}).get("note")
    return note


def _preview_url(job: Job) -> str | None:
    """The number in the address changes with every picture, so that browsers may keep each."""
    if job.status != "processing" or job.preview_number == 0:
        return None
    return f"/api/jobs/{job.id}/preview?n={job.preview_number}"
