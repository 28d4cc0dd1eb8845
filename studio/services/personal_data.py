"""Everything that the studio keeps of a person, as one ZIP that other programs can read."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from sqlalchemy import select

from studio.database.engine import Database
from studio.database.limit_tables import GpuUsage
from studio.database.schema import ApiKey, Asset, ExternalIdentity, Job, Project, SignInSession, Upload, UserProfile
from studio.database.webhook_tables import Webhook, WebhookDelivery
from studio.errors import NotFound, StorageFailed, StorageFull
from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.profiles import GUEST, now_s
from studio.services.views import asset_json, iso, job_json
from studio.services.webhooks.deliveries import delivery_json
from studio.services.webhooks.service import webhook_json

log = logging.getLogger(__name__)

MAX_EXPORTS_AT_ONCE = 1
"""An export reads and writes as fast as the disk does; two would only be slower."""
PAGE = 200
FILE_NAME = "my-studio.zip"
Json = dict[str, Any]
USAGE = ("job_id", "job_type", "lane", "attempt", "started_at", "ended_at", "seconds", "outcome")
_Row = TypeVar("_Row", Job, Asset, Upload, WebhookDelivery, GpuUsage)


class PersonalData:
    """Writes exports into folders of their own below `scratch_root`, which the sweeper clears of forgotten ones."""

    def __init__(self, database: Database, storage: MediaStorage, scratch_root: Path) -> None:
        self._database = database
        self._storage = storage
        self._scratch_root = scratch_root
        self._exporting = threading.BoundedSemaphore(MAX_EXPORTS_AT_ONCE)

    def export(self, person: Person) -> Path:
        """Write account.json, jobs.json, assets.json, uploads.json, usage.json, webhook_deliveries.json and the files
        under media/ into a ZIP.

        Pass its path to `discard` when it was sent. Blocks as long as copying all the media takes. Raises NotFound
        for a person who does not exist any more, StorageFull, StorageFailed.
        """
        with self._exporting, self._own_folder() as folder:
            self._write(person, folder / FILE_NAME)
        return folder / FILE_NAME

    @contextmanager
    def _own_folder(self) -> Iterator[Path]:
        """A new folder; removed again where writing into it fails."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="export-", dir=self._scratch_root))
            with ExitStack() as undo:
                undo.callback(shutil.rmtree, folder, ignore_errors=True)
                yield folder
                undo.pop_all()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("There is not enough room on the disk to write the export.") from error
            raise StorageFailed("The export could not be written.") from error

    def discard(self, path: Path) -> None:
        """Remove an export."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def _write(self, person: Person, path: Path) -> None:
        account = self._account(person)
        missing: list[str] = []
        with ZipFile(path, "w", ZIP_STORED) as archive:
            _put_json(archive, "account.json", account)
            _put_list(archive, "jobs.json", (_job_json(job) for job in self._pages(person, Job)))
            _put_list(archive, "assets.json", (asset_json(asset) for asset in self._pages(person, Asset)))
            _put_list(archive, "uploads.json", (_upload_json(upload) for upload in self._pages(person, Upload)))
            _put_list(archive, "usage.json", (_plain(usage, USAGE) for usage in self._pages(person, GpuUsage)))
            sent = self._pages(person, WebhookDelivery)
            _put_list(archive, "webhook_deliveries.json", (delivery_json(delivery) for delivery in sent))
            for asset in self._pages(person, Asset):
                self._copy(archive, f"media/{asset.id}.{asset.format}", asset, missing)
            for upload in self._pages(person, Upload):
                self._copy(archive, f"media/uploads/{upload.id}.png", upload, missing)
            if missing:
                _put_json(archive, "missing.json", missing)

    def _account(self, person: Person) -> Json:
        with self._database.as_person(person, write=False) as session:
            profile = session.get(UserProfile, person.id)
            if profile is None and person.role == GUEST:  # who has changed nothing so far
                profile = UserProfile(
                    id=person.id, display_name=person.display_name, role=GUEST, created_at=now_s(session)
                )
            if profile is None:
                raise NotFound("There is no such account.")
            projects = session.scalars(select(Project).order_by(Project.id)).all()
            sessions = session.scalars(select(SignInSession).order_by(SignInSession.id)).all()
            keys = session.scalars(select(ApiKey).order_by(ApiKey.id)).all()
            webhooks = session.scalars(select(Webhook).order_by(Webhook.id)).all()
            outside = session.scalars(select(ExternalIdentity).order_by(ExternalIdentity.provider)).all()
        return {
            "id": profile.id,
            "email": profile.email,
            "display_name": profile.display_name,
            "role": profile.role,
            "created_at": iso(profile.created_at),
            "signs_in_with": [_plain(row, ("provider", "subject")) for row in outside],
            "projects": [_plain(row, ("id", "name", "created_at")) for row in projects],
            "sessions": [_plain(row, ("created_at", "last_seen_at", "address", "agent")) for row in sessions],
            "api_keys": [
                _plain(row, ("name", "prefix", "scopes", "created_at", "last_used_at", "last_used_from"))
                for row in keys
            ],
            "webhooks": [webhook_json(row) for row in webhooks],
        }

    def _pages(self, person: Person, kind: type[_Row]) -> Iterator[_Row]:
        """The person's rows in the order of their ids; no transaction stays open in between."""
        last = ""
        while page := self._page(person, kind, last):
            yield from page
            last = page[-1].id

    def _page(self, person: Person, kind: type[_Row], after: str) -> Sequence[_Row]:
        with self._database.as_person(person, write=False) as session:
            return session.scalars(select(kind).where(kind.id > after).order_by(kind.id).limit(PAGE)).all()

    def _copy(self, archive: ZipFile, name: str, row: Asset | Upload, missing: list[str]) -> None:
        try:
            pieces = self._storage.stream(row.storage_key)
        except NotFound:
            log.warning("The file of %s is missing from an export.", row.id)
            missing.append(row.id)
            return
        with archive.open(ZipInfo(name, time.gmtime(row.created_at)[:6]), "w", force_zip64=True) as entry:
            for piece in pieces:
                entry.write(piece)


def _put_json(archive: ZipFile, name: str, content: Any) -> None:
    archive.writestr(name, json.dumps(content, ensure_ascii=False, indent=1), ZIP_DEFLATED)


def _put_list(archive: ZipFile, name: str, rows: Iterator[Json]) -> None:
    """Written row by row: what years of work left does not fit in memory twice."""
    info = ZipInfo(name, time.gmtime()[:6])
    info.compress_type = ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as entry:
        entry.write(b"[")
        for number, row in enumerate(rows):
            entry.write((b",\n" if number else b"\n") + json.dumps(row, ensure_ascii=False).encode())
        entry.write(b"\n]\n")


def _plain(row: ExternalIdentity | Project | SignInSession | ApiKey | Upload | GpuUsage, names: Sequence[str]) -> Json:
    return {name: _readable(name, getattr(row, name)) for name in names}


def _readable(name: str, value: Any) -> Any:
    return iso(value) if name.endswith("_at") and value is not None else value


def _job_json(job: Job) -> Json:
    """The job as clients get it, less what holds only while it waits or runs."""
    whole = job_json(job, asset_ids=(), queue_position=0, eta_s=None, usage={})
    return {name: value for name, value in whole.items() if name not in ("assets", "progress", "preview_url", "usage")}


def _upload_json(upload: Upload) -> Json:
    return _plain(upload, ("id", "width", "height", "bytes", "created_at"))
