"""Finished files as rows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.database.schema import Asset, Job


@dataclass(frozen=True, kw_only=True)
class NewAsset:
    """One stored file about to become an asset. `format` is "png" or "mp4"; `bytes` its size; `index` counts from 0."""

    index: int
    kind: str
    format: str
    mime_type: str
    width: int
    height: int
    frames: int | None
    fps: float | None
    bytes: int
    sha256: str
    seed: int
    storage_key: str


def parent_of(session: Session, job: Job, image: str | None) -> str | None:
    """The asset that the job started from, where it started from one of its person's."""
    if image is None:
        return None
    mine = select(Asset.id).where(Asset.id == image, Asset.user_id == job.user_id)
    return session.scalars(mine).one_or_none()


def asset_of(job: Job, new: NewAsset, parent_id: str | None, now: float) -> Asset:
    """The row of a job's finished file; `now` is seconds since 1970."""
    return Asset(
        job_id=job.id,
        user_id=job.user_id,
        project_id=job.project_id,
        parent_id=parent_id,
        index=new.index,
        kind=new.kind,
        format=new.format,
        mime_type=new.mime_type,
        width=new.width,
        height=new.height,
        frames=new.frames,
        fps=new.fps,
        bytes=new.bytes,
        sha256=new.sha256,
        seed=new.seed,
        storage_key=new.storage_key,
        job_type=job.type,
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        enhanced_prompt=job.enhanced_prompt,
        tags=[],
        created_at=now,
    )
