"""What nobody needs any more goes: assets long in the trash, and files that no row came to own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, select, tuple_

from studio.database.engine import Database, db_now
from studio.database.schema import Asset, Job, Upload
from studio.errors import StorageFailed
from studio.media.storage import UPLOAD_PREFIX, MediaStorage, StoredObject, job_folders
from studio.services.library import stored_keys

log = logging.getLogger(__name__)

TRASH_KEPT_DAYS = 30
DAY_S = 86_400.0
UNOWNED_KEPT_S = 3600.0
"""Files are stored before their rows: those without a row may have been stored this moment."""
UNDELIVERED = ("failed", "cancelled")
BATCH = 100
"""Rows or files looked at together, so that no transaction grows with the size of the studio."""


class Cleaner:
    """Removes what is left over, for everybody. Files go before their row, as in `LibraryService.purge`."""

    def __init__(self, database: Database, storage: MediaStorage) -> None:
        self._database = database
        self._storage = storage
        self._looked_until = (0.0, "")
        """When the last job ended, in seconds since 1970, whose folders were looked at, and its id."""

    def clean(self) -> None:
        """Do it all. Raises StorageFailed for a store that cannot be listed."""
        purged, dropped, left = self.purge_old_trash(), self.drop_unowned_uploads(), self.drop_undelivered()
        if purged or dropped or left:
            log.info(
                "Removed %d assets long in the trash, %d unowned uploads and %d undelivered files.",
                purged,
                dropped,
                left,
            )

    def purge_old_trash(self) -> int:
        """Remove for good what was trashed more than TRASH_KEPT_DAYS ago. Returns how many assets that were."""
        purged, last = 0, ""
        while batch := self._old_trash(after=last):
            purged += sum(self._purge(asset_id) for asset_id in batch)
            last = batch[-1]
        return purged

    def drop_unowned_uploads(self, now_s: float | None = None) -> int:
        """Remove uploaded files whose row was never committed. Returns how many that were.

        `now_s` is Unix time, by default the present.
        """
        limit = (time.time() if now_s is None else now_s) - UNOWNED_KEPT_S
        dropped = 0
        for batch in self._storage.batches(UPLOAD_PREFIX, BATCH):
            old = {_upload_id(found): found.key for found in batch if _is_upload(found) and found.written_at < limit}
            with self._database.as_system(write=False) as session:
                owned = set(session.scalars(select(Upload.id).where(Upload.id.in_(old))))
            unowned = [key for upload_id, key in old.items() if upload_id not in owned]
            self._storage.delete(unowned)
            dropped += len(unowned)
        return dropped

    def drop_undelivered(self) -> int:
        """Remove what jobs left in storage that then failed or were cancelled. Returns how many files that were.

        Nothing of it is removed the moment a job fails: an attempt that has lost its job without noticing would take
        away what the next one stored under the same keys.
        """
        dropped = 0
        while batch := self._ended_without_delivery():
            for job in batch:
                folders = job_folders(job.type, job.user_id, job.id)
                keys = [
                    found.key for folder in folders for part in self._storage.batches(folder, BATCH) for found in part
                ]
                dropped += self._drop(job, keys) if keys else 0
            self._looked_until = (batch[-1].finished_at or 0.0, batch[-1].id)
        return dropped

    def _ended_without_delivery(self) -> Sequence[Job]:
        """The next of the jobs that ended without assets, were begun, and ended long enough ago."""
        ended = select(Job).where(
            Job.status.in_(UNDELIVERED),
            Job.started_at.is_not(None),
            tuple_(Job.finished_at, Job.id) > self._looked_until,
            Job.finished_at < db_now() - UNOWNED_KEPT_S,
        )
        with self._database.as_system(write=False) as session:
            return session.scalars(ended.order_by(Job.finished_at, Job.id).limit(BATCH)).all()

    def _drop(self, job: Job, keys: Sequence[str]) -> int:
        """Remove `keys` unless the job was begun again meanwhile. Returns how many that were."""
        with self._database.as_system() as session:
            still = select(Job.id).where(Job.id == job.id, Job.status.in_(UNDELIVERED)).with_for_update()
            if session.scalars(still).one_or_none() is None:
                return 0
            try:
                self._storage.delete(keys)
            except StorageFailed:
                log.exception("The files that job %s left could not be removed.", job.id)
                return 0
        return len(keys)

    def _old_trash(self, after: str) -> list[str]:
        old = select(Asset.id).where(_long_trashed(), Asset.id > after).order_by(Asset.id).limit(BATCH)
        with self._database.as_system(write=False) as session:
            return list(session.scalars(old))

    def _purge(self, asset_id: str) -> bool:
        """Whether the asset is gone; not if it was restored meanwhile, or if the store keeps it."""
        with self._database.as_system() as session:
            asset = session.scalars(
                select(Asset).where(Asset.id == asset_id, _long_trashed()).with_for_update()
            ).one_or_none()
            if asset is None:
                return False
            try:
                self._storage.delete(stored_keys(asset))
            except StorageFailed:
                log.exception("The files of asset %s could not be removed; the next round tries again.", asset_id)
                return False
            session.delete(asset)
        return True


def _is_upload(found: StoredObject) -> bool:
    return found.key.endswith(".png")


def _upload_id(found: StoredObject) -> str:
    return PurePosixPath(found.key).stem


def _long_trashed() -> ColumnElement[bool]:
    return Asset.trashed_at < db_now() - TRASH_KEPT_DAYS * DAY_S
