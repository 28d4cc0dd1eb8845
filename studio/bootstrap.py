"""Builds the studio from its settings: the only place that constructs concrete services."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from queue_backend.gradio_queue import GradioTicketQueue
from queue_backend.orchestrator import Orchestrator
from queue_backend.worker_process import Patience
from studio import VERSION
from studio.catalog import Catalog
from studio.database.engine import Database
from studio.errors import InvalidInput
from studio.media.storage import MediaStorage
from studio.models import build_catalog_of, lanes_of, worker_spec
from studio.people import Person
from studio.planning import Planner, planner_of
from studio.running import Studio
from studio.secret_key import secret_key
from studio.services.accounts import local_person
from studio.services.announcing import Announcer
from studio.services.cleaning import Cleaner
from studio.services.comparing import ComparingService
from studio.services.container import PersonFor, RequestLike, Services
from studio.services.delivery import Delivery
from studio.services.enhancing import EnhancingService, PromptRewriting
from studio.services.execution import Execution
from studio.services.feed import JobFeed
from studio.services.gpu_ledger import Price
from studio.services.guests import GuestService
from studio.services.jobs import JobService
from studio.services.leases import JobLeases
from studio.services.legs import Workbench
from studio.services.library import LibraryService
from studio.services.limit_parts import LimitParts, build_limits
from studio.services.lockout import Lockout
from studio.services.memory_notes import MemoryNotes
from studio.services.owners import this_process
from studio.services.people_parts import build_people
from studio.services.planned_runs import PlannedRuns
from studio.services.policy import ContentPolicy
from studio.services.projects import ProjectService
from studio.services.studio_works import StudioWorks
from studio.services.sweeper import Sweeper
from studio.services.uploads import UploadService
from studio.services.webhooks.destinations import Destinations
from studio.services.webhooks.parts import Webhooks, build_webhooks
from studio.services.worker_reports import WorkerReports
from studio.settings import Settings
from studio.web.client_uploads import ClientUploads, gradio_folder
from studio.web.cookies import CookieRules
from studio.web.dependencies import AccountDoors
from studio.web.identity import Identity
from studio.web.outside import build_outside
from studio.web.worker_door import build_worker_door

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The settings ask for something that cannot be had. The message says what to set."""


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What everything else stands on. `key` is the studio's own, which signs."""

    key: str
    scratch: Path
    database: Database
    storage: MediaStorage
    catalog: Catalog
    runs: PlannedRuns
    held: LimitParts
    webhooks: Webhooks
    uploads: UploadService
    policy: ContentPolicy
    rewriting: PromptRewriting


def _ground(settings: Settings) -> _Ground:
    scratch, logs = _folders(settings)
    database = open_database(settings)
    catalog = build_catalog_of(settings)
    storage = MediaStorage(settings.storage)
    runs = _planned_runs(settings, catalog, database, logs)
    price = Price(per_hour=settings.gpu_hour_price, currency=settings.currency)
    held = build_limits(database, catalog, lanes_of(settings), price)
    key = settings.secret_key.get_secret_value() if settings.secret_key else secret_key(settings.data_path)
    destinations = Destinations(settings.webhook_networks)
    policy = ContentPolicy(settings.banned_terms)
    return _Ground(
        key=key,
        scratch=scratch,
        database=database,
        storage=storage,
        catalog=catalog,
        runs=runs,
        held=held,
        webhooks=build_webhooks(
            database, held.views, destinations, secret=key, version=VERSION, public_url=settings.external_url
        ),
        uploads=UploadService(database, storage, held.limits),
        policy=policy,
        rewriting=PromptRewriting(policy, settings.enhance_language),
    )


def build(settings: Settings) -> Studio:
    """Make the data folder and the database ready and wire every service.

    Raises CannotStart, ModelMissing, StorageFailed or OSError.
    """
    ground = _ground(settings)
    database, storage, lanes = ground.database, ground.storage, lanes_of(settings)
    feed = JobFeed(database, ground.held.views)
    secret = secrets.token_urlsafe(32)
    tickets = GradioTicketQueue(secret)
    announcer = Announcer(tickets, feed, ground.webhooks.dispatcher)
    leases = JobLeases(database, this_process(), lane_workers=lanes)
    bench = Workbench(
        delivery=Delivery(storage, VERSION),
        references=ground.uploads,
        catalog=ground.catalog,
        rewriting=ground.rewriting,
        scratch_root=ground.scratch,
        announcer=announcer,
    )
    execution = Execution(leases=leases, runs=ground.runs, **bench)
    jobs = JobService(
        database,
        ground.catalog,
        ground.policy,
        ground.held.views,
        ground.held.limits,
        announce=announcer,
        look_again=execution.look_again,
        check_webhook=ground.webhooks.service.check_order,
    )
    client_uploads = ClientUploads(gradio_folder())
    doors = None if settings.auth_mode == "local" else _doors(settings, ground, jobs, client_uploads)
    return Studio(
        settings=settings,
        services=_services(ground, jobs, feed, doors),
        lanes=lanes,
        ticket_secret=secret,
        tickets=tickets,
        execution=execution,
        announcer=announcer,
        leases=leases,
        sweeper=Sweeper(leases, announcer, ground.scratch, _chores(ground, doors)),
        database=database,
        storage=storage,
        client_uploads=client_uploads,
        doors=doors,
        workers=build_worker_door(settings.worker_secret, database, bench),
    )


def _services(ground: _Ground, jobs: JobService, feed: JobFeed, doors: AccountDoors | None) -> Services:
    library = LibraryService(ground.database, ground.storage)
    return Services(
        jobs=jobs,
        library=library,
        projects=ProjectService(ground.database),
        uploads=ground.uploads,
        comparing=ComparingService(
            jobs=jobs, library=library, media=ground.uploads, catalog=ground.catalog, scratch_root=ground.scratch
        ),
        enhancing=EnhancingService(ground.runs, ground.rewriting, ground.held.limits, ground.held.usage),
        allowances=ground.held.allowances,
        usage=ground.held.usage,
        feed=feed,
        webhooks=ground.webhooks,
        orchestrator=ground.runs.orchestrator,
        catalog=ground.catalog,
        person_for=_always(local_person(ground.database)) if doors is None else doors.identity,
    )


def _doors(settings: Settings, ground: _Ground, jobs: JobService, client_uploads: ClientUploads) -> AccountDoors:
    """Accounts, sessions, API keys and guests, and who a request acts for. Raises CannotStart.

    Where nobody can administer the studio yet, the log has a link with which one person can make themselves admin.
    """
    people = build_people(
        ground.database,
        ground.storage,
        cancel=jobs.cancel,
        forget_uploads=client_uploads.forget,
        secret=ground.key,
        signup=settings.signup,
        scratch_root=ground.scratch,
    )
    password = settings.admin_password
    try:
        token = people.accounts.first_admin(settings.admin_email, password.get_secret_value() if password else None)
    except InvalidInput as unfit:
        raise CannotStart(f"STUDIO_ADMIN_EMAIL and STUDIO_ADMIN_PASSWORD: {unfit.message}") from unfit
    if token is not None:
        # Not through the log, which masks secrets and is kept: who starts the program is to see it, and nobody else.
        print(f"Nobody administers this studio yet. Open {settings.address}/setup/{token} once.", flush=True)
    outside = build_outside(settings, people.outside, ground.key)
    identity = Identity(
        mode="guest" if settings.auth_mode == "guest" else "accounts",
        sessions=people.sessions,
        api_keys=people.api_keys,
        guests=GuestService(ground.database, ground.key, Lockout(ground.database)),
        cookies=CookieRules.from_settings(settings),
        external=outside.supabase,
    )
    works = StudioWorks(ground.database, ground.catalog, jobs, LibraryService(ground.database, ground.storage))
    return AccountDoors(identity=identity, people=people, studio_works=works, signup=settings.signup, outside=outside)


def _chores(ground: _Ground, doors: AccountDoors | None) -> Callable[[], None]:
    """What is cleaned up each hour."""
    cleaner = Cleaner(ground.database, ground.storage)

    def clean() -> None:
        cleaner.clean()
        ground.webhooks.deliveries.forget_old()
        WorkerReports(ground.database).forget_old()
        if doors is not None:
            doors.people.tidier.tidy()

    return clean


def _folders(settings: Settings) -> tuple[Path, Path]:
    """The folders for scratch files and for logs, made where they are missing."""
    folders = settings.data_path / "scratch", settings.data_path / "logs"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def _planned_runs(settings: Settings, catalog: Catalog, database: Database, logs: Path) -> PlannedRuns:
    """The workers and what plans their memory, with all that earlier runs of the studio learned."""
    notes = MemoryNotes(database)
    notes.load()
    planner = planner_of(settings, catalog, notes)
    return PlannedRuns(_fleet(settings, logs, planner), planner, notes)


def _fleet(settings: Settings, logs: Path, planner: Planner) -> Orchestrator:
    """The workers of every lane, each lane's on the devices in turn, none of them started."""
    specs = {
        lane: [
            replace(
                worker_spec(settings, lane, device=planner.device_of(index), quantization=planner.qwen_quantization),
                context_bytes=planner.context_bytes(lane),
            )
            for index in range(count)
        ]
        for lane, count in lanes_of(settings).items()
    }
    patience = Patience(idle_exit_s=settings.worker_idle_exit_s)
    return Orchestrator(specs, logs, patience, budgets=planner.budgets)


def open_database(settings: Settings) -> Database:
    """The database with the tables of this version. Raises CannotStart."""
    try:
        database = Database(settings.database)
        database.migrate()
    except (SQLAlchemyError, OSError, ImportError) as error:  # an URL may name a driver that is not installed
        log.exception("The database cannot be used.")
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise CannotStart(f"The database cannot be used: {reason}. Check STUDIO_DATABASE_URL.") from error
    return database


def _always(person: Person) -> PersonFor:
    """Local mode: whoever asks is the one person."""

    def person_for(request: RequestLike, /) -> Person:
        return person

    return person_for
