"""From a worker's files to stored media: checked, stamped with their provenance, under keys that a retry uses again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.contract import Artifact, GenerationResult
from studio.catalog import JobType
from studio.errors import TooLarge, UnfitFile
from studio.media.films import Announced, check_film, stills_of
from studio.media.mp4 import BrokenMp4
from studio.media.png import BrokenPng, dimensions
from studio.media.provenance import Mode, Provenance, stamp_mp4, stamp_png
from studio.media.storage import MEGABYTE, MP4, PNG, FileFormat, MediaStorage, asset_key, hover_key, thumbnail_key
from studio.media.thumbnails import thumbnails
from studio.services.claims import Claim
from studio.services.recording import NewAsset

logger = logging.getLogger(__name__)

STORED_AT_ONCE = 3
"""Files stored beside each other: the thumbnails of a 1024-pixel picture take 0.13 s, in code that lets others run."""
_MODEL_HASH_CHARS = 10
"""How much of a checkpoint's hash other tools show and compare."""


class Delivery:
    """Stores what a run made. `app_version` goes into the provenance of every file."""

    def __init__(self, storage: MediaStorage, app_version: str) -> None:
        self._storage = storage
        self._app_version = app_version

    def store(self, claim: Claim, result: GenerationResult, job_type: JobType) -> list[NewAsset]:
        """Check and store every artifact with its thumbnails. Returns the assets to be recorded, by index.

        Storing a job's result again overwrites the same keys. Raises UnfitFile for a file that is not what the
        worker said, TooLarge for one over the limit of its format, StorageFull or StorageFailed from the store.
        """
        artifacts = sorted(result.artifacts, key=lambda artifact: artifact.index)
        if [artifact.index for artifact in artifacts] != list(range(claim.config.count)):
            raise UnfitFile(f"The worker delivered {len(artifacts)} files where {claim.config.count} were ordered.")
        for artifact in artifacts:
            _check(artifact, job_type)
        with ThreadPoolExecutor(STORED_AT_ONCE) as threads:
            store_one = self._store_mp4 if job_type.kind == "video" else self._store_png
            store = partial(store_one, claim, receipt=result.receipt, job_type=job_type)
            assets = list(threads.map(store, artifacts))
        logger.info("stored %d files of job %s", len(assets), claim.job_id, extra={"job_id": claim.job_id})
        return assets

    def _store_png(self, claim: Claim, artifact: Artifact, receipt: dict[str, Any], job_type: JobType) -> NewAsset:
        facts = _provenance(claim, artifact, receipt, self._app_version)
        try:
            data = stamp_png(artifact.path, facts)
        except BrokenPng as error:
            raise UnfitFile(f"The worker delivered a broken picture: {error}") from error
        key = asset_key(job_type.bucket, claim.user_id, claim.job_id, artifact.index, job_type.extension)
        small = thumbnails(data)
        self._storage.put_bytes(key, data)
        self._put_copies(key, small)
        return _described(artifact, job_type, key, len(data), hashlib.sha256(data).hexdigest())

    def _store_mp4(self, claim: Claim, artifact: Artifact, receipt: dict[str, Any], job_type: JobType) -> NewAsset:
        stills = stills_of(artifact.path, _announced(artifact))
        try:
            stamp_mp4(artifact.path, _provenance(claim, artifact, receipt, self._app_version))
        except BrokenMp4 as error:
            raise UnfitFile(f"The worker delivered a broken film: {error}") from error
        key = asset_key(job_type.bucket, claim.user_id, claim.job_id, artifact.index, job_type.extension)
        with artifact.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self._storage.put_file(key, artifact.path)
        self._put_copies(key, stills.poster)
        self._storage.put_bytes(hover_key(key), stills.hover)
        return _described(artifact, job_type, key, artifact.path.stat().st_size, sha256)

    def _put_copies(self, key: str, copies: Mapping[int, bytes]) -> None:
        for size, copy in copies.items():
            self._storage.put_bytes(thumbnail_key(key, size), copy)


def _described(artifact: Artifact, job_type: JobType, key: str, size_bytes: int, sha256: str) -> NewAsset:
    return NewAsset(
        index=artifact.index,
        kind=job_type.kind,
        format=job_type.extension,
        mime_type=job_type.mime_type,
        width=artifact.width,
        height=artifact.height,
        frames=artifact.frames,
        fps=artifact.fps,
        bytes=size_bytes,
        sha256=sha256,
        seed=artifact.seed,
        storage_key=key,
    )


def _check(artifact: Artifact, job_type: JobType) -> None:
    """Hold a file to what the worker says of it and to what its job type makes."""
    if artifact.mime_type != job_type.mime_type:
        raise UnfitFile(f"The worker delivered {artifact.mime_type}; {job_type.name} makes {job_type.mime_type}.")
    if not artifact.path.is_file():
        raise UnfitFile(f"The worker announced file {artifact.index + 1} and did not deliver it.")
    if job_type.kind == "video":
        _check_bytes(artifact.path, MP4, "film")
        check_film(artifact.path, _announced(artifact))
        return
    _check_bytes(artifact.path, PNG, "picture")
    found = _size_of(artifact.path)
    if found != (artifact.width, artifact.height):
        raise UnfitFile(
            f"The worker delivered a picture of {found[0]} x {found[1]} pixels and announced "
            f"{artifact.width} x {artifact.height}."
        )


def _check_bytes(path: Path, kind: FileFormat, name: str) -> None:
    size = path.stat().st_size
    if size > kind.max_bytes:
        raise TooLarge(
            f"A {name} came to {size / MEGABYTE:.1f} MB; at most {kind.max_bytes // MEGABYTE} MB are kept. "
            "Ask for a smaller size."
        )


def _announced(artifact: Artifact) -> Announced:
    if artifact.frames is None or artifact.fps is None:
        raise UnfitFile("The worker delivered a film and did not say how long it is.")
    return Announced(width=artifact.width, height=artifact.height, frames=artifact.frames, fps=artifact.fps)


def _size_of(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        head = file.read(64)
    try:
        return dimensions(head)
    except BrokenPng as error:
        raise UnfitFile(f"The worker delivered a file that is no PNG: {error}") from error


_PICTURE_MODES: Mapping[str, Mode] = {"text": "text_to_image", "image": "image_to_image", "inpaint": "inpainting"}
_FILM_MODES: Mapping[str, Mode] = {"text": "text_to_video", "image": "image_to_video", "video": "video_to_video"}
"""What the pipeline says it did, in the words of the metadata. It knows best: at full strength a picture is ignored."""


def _provenance(claim: Claim, artifact: Artifact, receipt: dict[str, Any], app_version: str) -> Provenance:
    config = claim.config
    modes = _PICTURE_MODES if artifact.fps is None else _FILM_MODES
    fingerprint = receipt.get("fingerprint")
    return Provenance(
        prompt=claim.prompt,
        negative_prompt=claim.negative_prompt,
        enhanced_prompt=claim.enhanced_prompt,
        job_type=claim.type,
        job_id=claim.job_id,
        index=artifact.index,
        width=artifact.width,
        height=artifact.height,
        frames=artifact.frames,
        fps=artifact.fps,
        steps=config.steps,
        guidance=config.guidance,
        seed=artifact.seed,
        scheduler=config.scheduler,
        mode=modes.get(str(receipt.get("mode")), modes["text"]),
        strength=config.strength,
        model=str(receipt.get("checkpoint", "unknown")),
        model_hash=str(fingerprint)[:_MODEL_HASH_CHARS] if fingerprint else None,
        version=app_version,
        receipt=receipt,
    )
