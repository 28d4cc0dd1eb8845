"""An account goes, with everything that is its person's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ENDED, ApiKey, Job, UserProfile
from studio.errors import Conflict, NotFound
from studio.media.storage import THUMBNAIL_PREFIX, UPLOAD_PREFIX, MediaStorage
from studio.people import Person
from studio.services.administration import end_sessions, keep_an_admin
from studio.services.profiles import now_s, person_of_profile, profile_of

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 20.0
"""How long running jobs may take to stop. What one of them stores after that is cleared away in a second round."""
POLL_S = 0.1
BATCH = 100


class AccountRemoval:
    """Removes people's rows and files. `cancel(person, job_id)` stops a job, `forget_uploads(person_id)` removes files
    that wait outside the storage to be used."""

    def __init__(
        self,
        database: Database,
        storage: MediaStorage,
        cancel: Callable[[Person, str], object],
        forget_uploads: Callable[[str], None],
        patience_s: float = STOP_PATIENCE_S,
    ) -> None:
        self._database = database
        self._storage = storage
        self._cancel = cancel
        self._forget_uploads = forget_uploads
        self._patience_s = patience_s

    def remove(self, user_id: str, note: Callable[[Session], None]) -> None:
        """Remove the person for good. `note` is called in the transaction that does it.

        First nobody comes in any more, then jobs stop, files go, and the rows last: if the studio or the store fails
        in between, the account is shut and can be removed again. Blocks while jobs stop. Raises NotFound,
        StorageFailed, or Conflict for the last admin who can sign in.
        """
        person = self._shut(user_id)
        self._stop_jobs(person)
        folders = self._folders(user_id)
        self._erase(folders)
        with self._database.as_system() as session:
            note(session)
            session.execute(delete(UserProfile).where(UserProfile.id == user_id))
        self._erase(folders)
        self._forget_uploads(user_id)
        log.info("The account %s was removed.", user_id)

    def _shut(self, user_id: str) -> Person:
        with self._database.as_system() as session:
            profile = profile_of(session, user_id, lock=True)
            keep_an_admin(session, profile)
            profile.active = False
            end_sessions(session, user_id)
            keys = update(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
            session.execute(keys.values(revoked_at=now_s(session)))
            return person_of_profile(profile)

    def _stop_jobs(self, person: Person) -> None:
        unended = select(Job.id).where(Job.user_id == person.id, Job.status.not_in(ENDED))
        with self._database.as_system(write=False) as session:
            job_ids = session.scalars(unended).all()
        for job_id in job_ids:
            try:
                self._cancel(person, job_id)
            except (Conflict, NotFound):
                continue  # it ended by itself in this moment
        end = time.monotonic() + self._patience_s
        while self._running(person.id):
            if time.monotonic() > end:
                log.warning("The account %s is removed while a job of it still runs.", person.id)
                return
            time.sleep(POLL_S)

    def _running(self, user_id: str) -> int:
        running = select(func.count(Job.id)).where(Job.user_id == user_id, Job.status == "processing")
        with self._database.as_system(write=False) as session:
            return session.scalar(running) or 0

    def _folders(self, user_id: str) -> list[str]:
        """Where the person's files lie."""
        with self._database.as_system(write=False) as session:
            types = session.scalars(select(Job.type).where(Job.user_id == user_id).distinct()).all()
        originals = [f"{job_type}/{user_id}" for job_type in types]
        return [*originals, *(f"{THUMBNAIL_PREFIX}/{folder}" for folder in originals), f"{UPLOAD_PREFIX}/{user_id}"]

    def _erase(self, folders: list[str]) -> None:
        for folder in folders:
            keys = [found.key for batch in self._storage.batches(folder, BATCH) for found in batch]
            self._storage.delete(keys)
