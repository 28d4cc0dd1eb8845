"""What nobody needs any more goes: assets long in the trash, and uploaded files that no row came to own."""

from __future__ import annotations

import logging
import time
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, select

from studio.database.engine import Database, db_now
from studio.database.schema import Asset, Upload
from studio.errors import StorageFailed
from studio.media.storage import UPLOAD_PREFIX, MediaStorage, StoredObject
from studio.services.library import stored_keys

log = logging.getLogger(__name__)

TRASH_KEPT_DAYS = 30
DAY_S = 86_400.0
UNOWNED_KEPT_S = 3600.0
"""An upload's file is stored before its row: one without a row may have been stored this moment."""
BATCH = 100
"""Rows or files looked at together, so that no transaction grows with the size of the studio."""


class Cleaner:
    """Removes what is left over, for everybody. Files go before their row, as in `LibraryService.purge`."""

    def __init__(self, database: Database, storage: MediaStorage) -> None:
        self._database = database
        self._storage = storage

    def clean(self) -> None:
        """Do both. Raises StorageFailed for a store that cannot be listed."""
        purged, dropped = self.purge_old_trash(), self.drop_unowned_uploads()
        if purged or dropped:
            log.info("Removed %d assets that were long in the trash and %d unowned uploads.", purged, dropped)

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
