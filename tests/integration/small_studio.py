"""A whole studio at a small size: real database, storage, services, worker process, Gradio queue and web app. Only the
pipeline paints flat pictures, so that a job takes milliseconds."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Self

import gradio as gr
import uvicorn
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from queue_backend.gradio_queue import GradioTicketQueue, register_lanes
from queue_backend.messages import WorkerSpec
from queue_backend.orchestrator import Orchestrator
from studio.database.engine import Database
from studio.database.schema import UserProfile
from studio.errors import SignInNeeded
from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.accounts import local_person
from studio.services.announcing import Announcer
from studio.services.comparing import ComparingService
from studio.services.container import RequestLike, Services
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
from studio.services.limit_parts import build_limits
from studio.services.lockout import Lockout
from studio.services.memory_notes import MemoryNotes
from studio.services.owners import this_process
from studio.services.passwords import Passwords
from studio.services.people_parts import build_people
from studio.services.planned_runs import PlannedRuns
from studio.services.policy import ContentPolicy
from studio.services.projects import ProjectService
from studio.services.studio_works import StudioWorks
from studio.services.sweeper import Sweeper
from studio.services.uploads import UploadService
from studio.services.webhooks.destinations import Destinations
from studio.services.webhooks.parts import build_webhooks
from studio.settings import Settings
from studio.ui.endpoints import register_endpoints
from studio.ui.mounting import mount
from studio.web.app import create_app
from studio.web.client_uploads import ClientUploads, gradio_folder
from studio.web.cookies import CookieRules
from studio.web.dependencies import AccountDoors, WebParts
from studio.web.gradio_doors import GradioDoors
from studio.web.identity import Identity, Mode
from studio.web.outside import build_outside
from studio.web.security import BrowserPolicy
from studio.web.stopping import Stopping, StudioServer
from studio.web.vitals import Vitals
from studio.web.worker_door import build_worker_door
from tests.planners import WeightlessPlanner
from tests.postgres import chosen_database_url
from tests.small_catalog import small_catalog

HERE = Path(__file__).parent
WHO = "x-test-person"
"""Request header that names the acting person; without it the local person acts."""
LANES = {"sdxl": 1, "wan": 1, "qwen": 1}
RETRY_AFTER_S = (0.1, 0.2, 0.2, 0.2, 300.0)
"""Webhooks are tried five times within a second, and then once more when every test is over."""
FACTORIES = {"sdxl": "painter:create", "wan": "painter:create", "qwen": "painter:create_writer"}


class SmallStudio:
    """Builds the parts and wires them as bootstrap does. Nothing runs before the app's lifespan.

    Without `database_url` the database is of the kind that the run of the tests is for; a SQLite file lies in `folder`.
    With a `mode` people sign in or are guests, as in the program; without one the header WHO says who acts. `settings`
    say under which addresses it is reached and who signs in from outside.
    """

    def __init__(
        self,
        folder: Path,
        *,
        browsers: BrowserPolicy | None = None,
        database_url: str | None = None,
        mode: Mode | None = None,
        signup: str = "open",
        settings: Settings | None = None,
        worker_secret: str | None = None,
    ) -> None:
        self.settings = settings or Settings.model_validate({})
        self.database = Database(database_url or chosen_database_url() or f"sqlite:///{folder / 'studio.db'}")
        self.database.migrate()
        self.storage = MediaStorage((folder / "media").as_uri())
        self.catalog = small_catalog()
        self.stopping = Stopping()
        environment = {"PYTHONPATH": str(HERE), "PAINTER_HEAVY": str(folder / "heavy")}
        specs = {
            lane: WorkerSpec(lane=lane, factory=factory, environment=environment) for lane, factory in FACTORIES.items()
        }
        self.orchestrator = Orchestrator(specs, folder / "logs")
        policy = ContentPolicy(("forbiddenword",))
        rewriting = PromptRewriting(policy, "en")
        held = build_limits(self.database, self.catalog, LANES, Price(per_hour=3.6))
        self.feed = JobFeed(self.database, held.views)
        self.secret = secrets.token_urlsafe(16)
        self.tickets = GradioTicketQueue(self.secret)
        self.webhooks = build_webhooks(
            self.database,
            held.views,
            Destinations((ip_network("127.0.0.0/8"),)),
            secret=secrets.token_urlsafe(32),
            version="0.0",
            public_url=None,
            retry_after_s=RETRY_AFTER_S,
        )
        self.announcer = Announcer(self.tickets, self.feed, self.webhooks.dispatcher)
        self.leases = JobLeases(self.database, this_process(), lane_workers=LANES)
        uploads = UploadService(self.database, self.storage, held.limits)
        runs = PlannedRuns(self.orchestrator, WeightlessPlanner(), MemoryNotes(None))
        bench = Workbench(
            delivery=Delivery(self.storage, "0.0"),
            references=uploads,
            catalog=self.catalog,
            rewriting=rewriting,
            scratch_root=folder / "scratch",
            announcer=self.announcer,
        )
        self.execution = Execution(leases=self.leases, runs=runs, **bench)
        secret = SecretStr(worker_secret) if worker_secret else None
        self.workers = build_worker_door(secret, self.database, bench)
        self.sweeper = Sweeper(self.leases, self.announcer, folder / "scratch")
        self.client_uploads = ClientUploads(gradio_folder())
        self.people = {"": local_person(self.database)}
        jobs = JobService(
            self.database,
            self.catalog,
            policy,
            held.views,
            held.limits,
            announce=self.announcer,
            look_again=self.execution.look_again,
            check_webhook=self.webhooks.service.check_order,
        )
        library = LibraryService(self.database, self.storage)
        self.services = Services(
            jobs=jobs,
            library=library,
            projects=ProjectService(self.database),
            uploads=uploads,
            comparing=ComparingService(
                jobs=jobs, library=library, media=uploads, catalog=self.catalog, scratch_root=folder / "scratch"
            ),
            enhancing=EnhancingService(runs, rewriting, held.limits, held.usage),
            allowances=held.allowances,
            usage=held.usage,
            feed=self.feed,
            webhooks=self.webhooks,
            orchestrator=self.orchestrator,
            catalog=self.catalog,
            person_for=self._person_for,
        )
        self.accounts: AccountDoors | None = None
        if mode is not None:
            self.accounts = self._accounts(folder, mode, signup)
            self.services = replace(self.services, person_for=self.accounts.identity)
        if settings is not None:
            browsers = BrowserPolicy.from_settings(settings)
        self.app = self._app(folder, browsers or BrowserPolicy(loopback_only=mode is None))

    def _accounts(self, folder: Path, mode: Mode, signup: str) -> AccountDoors:
        (folder / "scratch").mkdir(exist_ok=True)
        secret = secrets.token_urlsafe(32)
        people = build_people(
            self.database,
            self.storage,
            cancel=self.services.jobs.cancel,
            forget_uploads=self.client_uploads.forget,
            secret=secret,
            signup=signup,
            scratch_root=folder / "scratch",
            passwords=Passwords(Argon2Hasher(time_cost=1, memory_cost=64)),
        )
        outside = build_outside(self.settings, people.outside, secret)
        works = StudioWorks(self.database, self.catalog, self.services.jobs, self.services.library)
        identity = Identity(
            mode=mode,
            sessions=people.sessions,
            api_keys=people.api_keys,
            guests=GuestService(self.database, secret, Lockout(self.database)),
            cookies=CookieRules.from_settings(self.settings),
            external=outside.supabase,
        )
        return AccountDoors(identity=identity, people=people, studio_works=works, signup=signup, outside=outside)

    def add_person(self, name: str) -> Person:
        """A new member, who acts in requests whose header WHO says `name`."""
        with self.database.as_system() as session:
            profile = UserProfile(display_name=name, role="member", created_at=0.0)
            session.add(profile)
            session.flush()
            self.people[name] = Person(id=profile.id, role=profile.role, display_name=name)
        return self.people[name]

    def _person_for(self, request: RequestLike) -> Person:
        try:
            return self.people[request.headers.get(WHO, "")]
        except KeyError:
            raise SignInNeeded("Sign in first.") from None

    def _app(self, folder: Path, policy: BrowserPolicy) -> FastAPI:
        static = folder / "static"
        static.mkdir()
        (static / "studio.css").write_text("body{}")
        vitals = Vitals(self.database, self.storage, self.orchestrator, self.catalog.lanes)
        app = create_app(
            self.services,
            static,
            parts=WebParts(
                storage=self.storage,
                vitals=vitals,
                stopping=self.stopping,
                accounts=self.accounts,
                workers=self.workers,
            ),
            policy=policy,
            version="0.0",
            lifespan=self._lifespan,
        )
        with gr.Blocks(analytics_enabled=False) as blocks:
            register_lanes(LANES, self.execution.run_next, self.secret)
            register_endpoints(self.services)
        if self.accounts is None:
            app = gr.mount_gradio_app(app, blocks, path="/", footer_links=[], run_history=False, ssr_mode=False)
            self.tickets.bind(app)
            return app
        doors = partial(
            GradioDoors,
            person_for=self.services.person_for,
            uploads=self.client_uploads,
            framed_by=policy.framed_by,
        )
        self.tickets.bind(mount(app, blocks, public_url=self.settings.external_url, data_dir=folder, doors=doors))
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        self.announcer.bind(asyncio.get_running_loop())
        background = [asyncio.create_task(self.feed.run()), asyncio.create_task(self.sweeper.run())]
        background.append(asyncio.create_task(self.webhooks.run()))
        try:
            yield
        finally:
            await self.execution.stop(1.0)
            await self.orchestrator.stop(grace_s=1.0)
            await self.tickets.aclose()
            for task in background:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.database.close()


class ServedStudio:
    """A small studio behind a real uvicorn on a loopback port, in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        graceful_s: int | None = 5,
        *,
        database_url: str | None = None,
        mode: Mode | None = None,
        signup: str = "open",
        worker_secret: str | None = None,
    ) -> None:
        self.folder = folder
        self._settings: Settings | None = None
        self._database_url = database_url
        self._mode: Mode | None = mode
        self._signup = signup
        self._worker_secret = worker_secret
        self._graceful_s = graceful_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.studio: SmallStudio
        self.server: StudioServer

    def use(self, settings: Settings) -> None:
        """Be built by these settings, which may need to know the address."""
        self._settings = settings

    async def _serve(self) -> None:
        # Built on the loop that serves it: Gradio would otherwise leave a loop of its own behind.
        self.studio = SmallStudio(
            self.folder,
            database_url=self._database_url,
            mode=self._mode,
            signup=self._signup,
            settings=self._settings,
            worker_secret=self._worker_secret,
        )
        config = uvicorn.Config(
            self.studio.app, port=self.port, log_level="warning", timeout_graceful_shutdown=self._graceful_s
        )
        self.server = StudioServer(config, self.studio.stopping)
        await self.server.serve()

    @contextmanager
    def serving(self) -> Iterator[Self]:
        self.thread.start()
        try:
            while not (hasattr(self, "server") and self.server.started):
                assert self.thread.is_alive(), "The server did not start."
                self.thread.join(0.05)
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        if hasattr(self, "server"):
            self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()
