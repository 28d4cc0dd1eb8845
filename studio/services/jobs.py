"""Jobs as their people see them: order, look, stop, try again. Every client's request ends here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from studio.catalog import Catalog, JobType
from studio.database.engine import Database, db_now, next_revision
from studio.database.schema import STATUSES, Asset, Job, Project, Upload
from studio.database.webhook_tables import JobWebhook
from studio.errors import Conflict, InvalidInput, NotFound
from studio.orders import JobConfig, Order, check_beginning, cost_s, settle
from studio.people import Person
from studio.services import transitions
from studio.services.limits import Limits, alone
from studio.services.rendering import JobViews
from studio.services.turns import next_turn

if TYPE_CHECKING:
    from studio.services.policy import ContentPolicy

log = logging.getLogger(__name__)

DEFAULT_PAGE = 50
MAX_PAGE = 200
MAX_KEY_CHARS = 255
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """An order that passed every check that needs no database."""

    order: Order
    kind: JobType
    config: JobConfig
    cost_s: float
    key: str | None


class JobService:
    """`announce(lane)` is called after each commit that clients or workers should hear of, and `look_again(job_id)`
    after one that asks a job to stop; both from any thread. `check_webhook(person, url)` raises where an order may not
    name `url`."""

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        policy: ContentPolicy,
        views: JobViews,
        limits: Limits,
        *,
        announce: Callable[[str], None],
        look_again: Callable[[str], None],
        check_webhook: Callable[[Person, str | None], None],
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._policy = policy
        self._views = views
        self._limits = limits
        self._announce = announce
        self._look_again = look_again
        self._check_webhook = check_webhook

    def submit(
        self, person: Person, order: Order, *, idempotency_key: str | None = None, again_of: str | None = None
    ) -> Json:
        """Check `order` and queue it. The same person and key get the first job again. `again_of` is the asset of the
        person's that the order makes again, where it does.

        Raises InvalidInput, PolicyRefused, NotFound for an image, mask or project that is not the person's, or
        RateLimited or QuotaExceeded where they have as much as they may.
        """
        kind, config = settle(order, self._catalog)
        config = config.model_copy(update={"again_of": again_of})
        self._policy.check(order.prompt, order.negative_prompt)
        self._check_webhook(person, order.webhook_url)
        cost = cost_s(kind, config, self._catalog.rules(kind))
        key = _checked_key(idempotency_key)
        settled = _Settled(order=order, kind=kind, config=config, cost_s=cost, key=key)
        with self._database.as_person(person) as session:
            job_id, is_new = self._insert_once(session, person, settled)
        if is_new:
            log.info("Job %s (%s) was ordered by %s.", job_id, kind.name, person.id)
            self._announce(kind.lanes[0])
        return self.get(person, job_id)

    def get(self, person: Person, job_id: str) -> Json:
        """The job. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            return self._views.render(session, [_found(session, job_id)])[0]

    def list(
        self,
        person: Person,
        *,
        status: str | None = None,
        job_type: str | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Json:
        """The person's jobs, newest first: {"items": [...], "next": cursor or None}. Raises InvalidInput."""
        self._check_filters(status, job_type, limit, cursor)
        page = select(Job).order_by(Job.id.desc()).limit(limit + 1)
        if status is not None:
            page = page.where(Job.status == status)
        if job_type is not None:
            page = page.where(Job.type == job_type)
        if cursor is not None:
            page = page.where(Job.id < cursor)
        with self._database.as_person(person, write=False) as session:
            jobs = session.scalars(page).all()
            items = self._views.render(session, jobs[:limit])
        return {"items": items, "next": items[-1]["id"] if len(jobs) > limit else None}

    def cancel(self, person: Person, job_id: str) -> Json:
        """Stop the job: at once if it waits, at its next step if it runs. A cancelled job is returned as it is.

        Raises NotFound, or Conflict for a job that has completed or failed.
        """
        with self._database.as_person(person) as session:
            job = _found(session, job_id, lock=True)
            if job.status in ("completed", "failed"):
                raise Conflict(f"The job has already {job.status}; there is nothing left to cancel.")
            changed = job.status != "cancelled" and not job.cancel_requested
            if changed:
                job.cancel_requested = True
                if job.status == "pending":
                    transitions.end(job, "cancelled", _now(session))
                job.revision = next_revision(session)
            lane = job.lane
        if changed:
            log.info("Job %s was cancelled by %s.", job_id, person.id)
            self._look_again(job_id)
            self._announce(lane)
        return self.get(person, job_id)

    def retry(self, person: Person, job_id: str) -> Json:
        """Queue a failed or cancelled job again, with the same settings and seed.

        Raises NotFound, Conflict, or as an order does where the person has as much as they may.
        """
        with self._database.as_person(person) as session:
            alone(session, person)
            job = _found(session, job_id, lock=True)
            if job.status not in ("failed", "cancelled"):
                raise Conflict(f"Only a failed or cancelled job can be tried again; this one is {job.status}.")
            self._limits.check_order(session, person)
            turn = next_turn(session, job.lane, job.user_id, job.cost_s)
            transitions.start_over(job, turn, _now(session))
            job.revision = next_revision(session)
            lane = job.lane
        log.info("Job %s is tried again by %s.", job_id, person.id)
        self._announce(lane)
        return self.get(person, job_id)

    def preview(self, person: Person, job_id: str) -> bytes:
        """The latest preview of a running job, WebP. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            picture = session.scalars(select(Job.preview).where(Job.id == job_id)).one_or_none()
        if picture is None:
            raise NotFound("There is no preview of this job.")
        return picture

    def summary(self, person: Person) -> Json:
        """How the person's jobs stand: counts of running, waiting, done_today, failed_today (since midnight here), and
        waiting_all, everybody's waiting jobs."""
        midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        today = select(Job.status, func.count()).where(Job.finished_at >= midnight).group_by(Job.status)
        unfinished = select(Job.status, func.count()).where(Job.status.in_(("pending", "processing")))
        with self._database.as_person(person, write=False) as session:
            ended = dict(session.execute(today).all())
            active = dict(session.execute(unfinished.group_by(Job.status)).all())
        with self._database.as_system(write=False) as session:
            waiting_all = session.scalar(select(func.count()).select_from(Job).where(Job.status == "pending"))
        return {
            "running": active.get("processing", 0),
            "waiting": active.get("pending", 0),
            "done_today": ended.get("completed", 0),
            "failed_today": ended.get("failed", 0),
            "waiting_all": waiting_all or 0,
        }

    def estimate(self, person: Person, job_type: str, work: Mapping[str, int | None]) -> Json:
        """Seconds that a job of the person's ordered now would run ("run_s") and wait ("wait_s").

        `work` has count, steps, width and height (pixels) and frames as in an order; None is the type's default.
        Raises InvalidInput, as for an order.
        """
        # An order needs a prompt; no prompt takes longer than another.
        kind, config = settle(Order.parse({"prompt": "any", "job_type": job_type, **work}), self._catalog)
        return dict(self._views.standings.estimate(kind, config, person.id))

    def _insert_once(self, session: Session, person: Person, settled: _Settled) -> tuple[str, bool]:
        """Insert the job unless its key was used before. Returns its id and whether it is new."""
        alone(session, person)
        earlier = _earlier(session, settled.key)
        if earlier is not None:
            return earlier, False
        _check_references(session, settled.order, settled.kind)
        self._limits.check_order(session, person)
        job = _new_job(session, person, settled)
        session.add(job)
        session.flush()
        if settled.order.webhook_url is not None:
            session.add(JobWebhook(job_id=job.id, user_id=person.id, url=settled.order.webhook_url.strip()))
        return job.id, True

    def _check_filters(self, status: str | None, job_type: str | None, limit: int, cursor: str | None) -> None:
        if status is not None and status not in STATUSES:
            raise InvalidInput(
                f"There is no status {status[:40]!r}. Choose one of: {', '.join(STATUSES)}.", field="status"
            )
        if job_type is not None:
            self._check_type(job_type)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidInput(f"The limit must be from 1 to {MAX_PAGE}; {limit} was asked.", field="limit")
        if cursor is not None and not _is_id(cursor):
            raise InvalidInput("The cursor must be the `next` of the page before.", field="cursor")

    def _check_type(self, job_type: str) -> None:
        if job_type not in self._catalog.types:
            known = ", ".join(self._catalog.types)
            raise InvalidInput(f"There is no job type {job_type[:60]!r}. Choose one of: {known}.", field="job_type")


def _checked_key(key: str | None) -> str | None:
    if key is not None and not 1 <= len(key) <= MAX_KEY_CHARS:
        raise InvalidInput(f"An idempotency key has 1 to {MAX_KEY_CHARS} characters.", field="idempotency_key")
    return key


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _now(session: Session) -> float:
    return session.execute(select(db_now())).scalar_one()


def _found(session: Session, job_id: str, *, lock: bool = False) -> Job:
    job = session.get(Job, job_id, with_for_update=True if lock else None)
    if job is None:
        raise NotFound("There is no such job.")
    return job


def _earlier(session: Session, key: str | None) -> str | None:
    if key is None:
        return None
    return session.scalars(select(Job.id).where(Job.idempotency_key == key)).one_or_none()


def _check_references(session: Session, order: Order, kind: JobType) -> None:
    if order.project is not None and session.get(Project, order.project) is None:
        raise NotFound("There is no such project.", field="project")
    check_beginning(kind, "text" if order.image is None else _kind_of(session, order.image, "image"))
    if order.mask is not None and _kind_of(session, order.mask, "mask") != "image":
        raise InvalidInput("A mask is a picture, not a film.", field="mask")


def _kind_of(session: Session, reference: str, field: str) -> str:
    """Whether `reference`, an upload of the session's person or an asset of theirs outside the trash, is an "image" or
    a "video". Raises NotFound."""
    if session.get(Upload, reference) is not None:
        return "image"
    asset = session.get(Asset, reference)
    if asset is None or asset.trashed_at is not None:
        raise NotFound(f"There is no such {field}. Upload it first, or choose one of yours.", field=field)
    return asset.kind


def _new_job(session: Session, person: Person, settled: _Settled) -> Job:
    kind, order = settled.kind, settled.order
    lane = kind.lanes[0]
    return Job(
        user_id=person.id,
        project_id=order.project,
        type=kind.name,
        lane=lane,
        quality=kind.quality,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        config=settled.config.model_dump(),
        timings={},
        turn=next_turn(session, lane, person.id, settled.cost_s),
        cost_s=settled.cost_s,
        created_at=_now(session),
        idempotency_key=settled.key,
        revision=next_revision(session),
    )
