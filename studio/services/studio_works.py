"""Works on behalf of the studio: an administrator orders pictures that are nobody's but the studio's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from studio.catalog import Catalog
from studio.database.engine import Database
from studio.database.schema import UserProfile
from studio.errors import InvalidInput, NotFound
from studio.orders import Order
from studio.people import Origin, Person
from studio.services.audit import AuditLog
from studio.services.profiles import need_admin, now_s

if TYPE_CHECKING:
    from studio.services.jobs import JobService
    from studio.services.library import LibraryService, MediaFile

STUDIO_ID = "00000000-0000-7000-8000-000000000001"
"""Known beforehand, so that however many orders come at once, the studio is one person."""
STUDIO_NAME = "The studio"
STUDIO_ROLE = "studio"
"""No role of an account: nobody can be given it, sign in with it, or find it among the people."""


class StudioWorks:
    """What the studio makes in its own name. Every method raises Forbidden for anybody but an admin."""

    def __init__(self, database: Database, catalog: Catalog, jobs: JobService, library: LibraryService) -> None:
        self._database = database
        self._catalog = catalog
        self._jobs = jobs
        self._library = library
        self._audit = AuditLog(database)

    def generate(
        self, admin: Person, order: Order, origin: Origin, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Queue pictures as the studio. The job is the studio's, and the audit says who ordered it.

        Raises InvalidInput for a film; else as `JobService.submit`. References are the studio's own works.
        """
        need_admin(admin)
        kind = self._catalog.types.get(order.job_type)
        if kind is not None and kind.kind != "image":
            raise InvalidInput("Pictures alone are made here. Order films as yourself.", field="job_type")
        job = self._jobs.submit(self._person(), order, idempotency_key=idempotency_key)
        self._audit.note("generated_for_studio", admin, origin, job["id"], job_type=order.job_type)
        return job

    def job(self, admin: Person, job_id: str) -> dict[str, Any]:
        """A job of the studio's. Raises NotFound, also for a person's."""
        need_admin(admin)
        return self._jobs.get(self._person(), job_id)

    def file(self, admin: Person, job_id: str, index: int) -> MediaFile:
        """The picture `index` (from 0) of a job of the studio's. Raises NotFound."""
        assets = self.job(admin, job_id)["assets"]
        if not 0 <= index < len(assets):
            raise NotFound("There is no such file.")
        return self._library.media(self._person(), assets[index])

    def _person(self) -> Person:
        """The studio as a person, made with the first call. Without address and password nobody signs in as it."""
        studio = Person(id=STUDIO_ID, role=STUDIO_ROLE, display_name=STUDIO_NAME)
        if not self._is_known():
            try:
                with self._database.as_system() as session:
                    now = now_s(session)
                    session.add(UserProfile(id=STUDIO_ID, display_name=STUDIO_NAME, role=STUDIO_ROLE, created_at=now))
            except IntegrityError:
                if not self._is_known():  # else another order was first
                    raise
        return studio

    def _is_known(self) -> bool:
        with self._database.as_system(write=False) as session:
            return session.get(UserProfile, STUDIO_ID) is not None
