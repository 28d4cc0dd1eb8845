"""A worker on another machine at a small size: all it has is an address and the secret. It paints flat pictures.

As a program, `python -m tests.integration.remote_worker URL LANE`, it does one job, the secret in WORKER_SECRET; with
a third word "hangs" it claims the job and does nothing more.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image
from standardwebhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0IG9mIGFsbCB3b3JrZXJzIGluIHRlc3Rz"
PATH = "/api/job-callback"
Json = dict[str, Any]


def signed(
    event: Json | bytes,
    files: Sequence[bytes] = (),
    *,
    secret: str = SECRET,
    report_id: str | None = None,
    at: datetime | None = None,
) -> Json:
    """What httpx is told to post for a report: JSON, or a form with its files."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    report_id, at = report_id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
    headers = {
        "webhook-id": report_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(report_id, at, body.decode()),
    }
    if not files:
        return {"content": body, "headers": {**headers, "Content-Type": "application/json"}}
    parts: list[tuple[str, Any]] = [("event", (None, body, "application/json"))]
    parts += [(f"file{index}", (f"{index}.png", data, "image/png")) for index, data in enumerate(files)]
    return {"files": parts, "headers": headers}


def of(claim: Json, event: str, **fields: Any) -> Json:
    """An event about a claimed job."""
    return {"event": event, "job_id": claim["job_id"], "lease_token": claim["lease_token"], **fields}


def paint(request: Json) -> list[bytes]:
    """One flat picture a seed, as the request asks for it."""
    pictures = []
    for seed in request["seeds"]:
        kept = io.BytesIO()
        Image.new("RGB", (request["width"], request["height"]), (seed % 256, 64, 128)).save(kept, "PNG")
        pictures.append(kept.getvalue())
    return pictures


def completed(claim: Json, pictures: Sequence[bytes]) -> Json:
    """The report that goes with `pictures`."""
    request = claim["request"]
    files = [
        {
            "index": index,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "mime_type": "image/png",
            "width": request["width"],
            "height": request["height"],
            "seed": seed,
        }
        for index, (data, seed) in enumerate(zip(pictures, request["seeds"], strict=True))
    ]
    return of(claim, "completed", files=files, timings={"denoising_s": 0.5}, receipt={"model": "elsewhere"})


def do_one_job(url: str, lane: str, *, hangs: bool) -> None:
    """Claim a job of `lane` once one waits, and take it to its end; with `hangs` only claim it."""
    with httpx.Client(base_url=url, timeout=60) as studio:
        claim = None
        while claim is None:
            answer = studio.post(PATH, **signed({"event": "claim", "lane": lane, "worker": "a process of its own"}))
            claim = answer.raise_for_status().json()["claim"]
            time.sleep(0.05)
        print(claim["job_id"], flush=True)
        if hangs:
            time.sleep(600)
        studio.post(PATH, **signed(of(claim, "progress", stage="denoising", fraction=0.5))).raise_for_status()
        pictures = paint(claim["request"])
        studio.post(PATH, **signed(completed(claim, pictures), pictures)).raise_for_status()


if __name__ == "__main__":
    SECRET = os.environ["WORKER_SECRET"]
    do_one_job(sys.argv[1], sys.argv[2], hangs="hangs" in sys.argv[3:])
