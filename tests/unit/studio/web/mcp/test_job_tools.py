from __future__ import annotations

import pytest

from studio.web.mcp.job_tools import where_it_stands


@pytest.mark.parametrize(
    ("status", "stage", "ahead", "told"),
    [
        ("pending", "queued", 0, "queued"),
        ("pending", "queued", 1, "1 job ahead"),
        ("pending", "queued", 12, "12 jobs ahead"),
        ("processing", "denoising", None, "denoising"),
        ("processing", "denoising", 3, "denoising"),
    ],
)
def test_it_tells_how_many_jobs_are_ahead_while_there_are_any(
    status: str, stage: str, ahead: int | None, told: str
) -> None:
    assert where_it_stands({"status": status, "stage": stage, "progress": {"queue_position": ahead}}) == told
