"""What PostgreSQL does by itself: rows kept apart without the code's filter, and roles that can do what they must."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, event, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from studio.bootstrap import CannotStart, open_database
from studio.catalog import Catalog
from studio.database import engine as engine_module
from studio.database import isolation, postgres
from studio.database.engine import Database
from studio.database.limit_tables import GpuUsage
from studio.database.postgres import APP_ROLE, ROLES, WORKER_ROLE, RolesMissing, act_as
from studio.database.schema import (
    ApiKey,
    Asset,
    Base,
    ExternalIdentity,
    Job,
    OwnedRow,
    Project,
    SignInSession,
    Upload,
    UserProfile,
)
from studio.database.webhook_tables import JobWebhook, JobWebhookSecret, Webhook, WebhookDelivery
from studio.errors import NotFound
from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.library import LibraryService
from studio.services.policy import ContentPolicy
from studio.services.projects import ProjectService
from studio.settings import Settings
from tests.postgres import PostgresServer
from tests.unit.studio.desk import Desk

ANN = Person(id="ann", role="member", display_name="Ann")
BEN = Person(id="ben", role="member", display_name="Ben")
SYSTEMS_ALONE = {
    *("memory_measurements", "one_time_links", "failed_sign_ins", "audit_events"),
    *("webhook_cursor", "worker_reports", "allowances"),
}
NOT_CHANGED = {"external_identities", "job_webhooks", "webhook_deliveries"}
"""Where people may change no text of their own rows either."""
FOR_READING = {"gpu_usage"}
"""Tables of people's rows that nobody changes about themselves."""
OWNED = sorted(
    (mapper.local_table for mapper in Base.registry.mappers if issubclass(mapper.class_, OwnedRow)),
    key=lambda table: table.name,
)
JOB: dict[str, Any] = {
    "type": "sdxl_image_fast",
    "lane": "sdxl",
    "quality": "fast",
    "prompt": "secret",
    "config": {},
    "turn": 1.0,
    "cost_s": 1.0,
    "created_at": 0.0,
    "revision": 1,
}
ASSET: dict[str, Any] = {
    "index": 0,
    "kind": "image",
    "format": "png",
    "mime_type": "image/png",
    "width": 64,
    "height": 64,
    "bytes": 1,
    "sha256": "",
    "seed": 1,
    "job_type": "sdxl_image_fast",
    "prompt": "secret",
    "negative_prompt": "",
    "created_at": 0.0,
}
DELIVERY: dict[str, Any] = {
    "event": "job.completed",
    "url": "secret",
    "payload": {},
    "attempts_allowed": 1,
    "created_at": 0.0,
}
RUN: dict[str, Any] = {
    "job_type": "sdxl_image_fast",
    "lane": "sdxl",
    "attempt": 1,
    "started_at": 0.0,
    "ended_at": 1.0,
    "seconds": 1.0,
    "outcome": "completed",
}


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as url:
        database = Database(url)
        yield database
        database.close()


def rows_of(user_id: str) -> list[Any]:
    """A row in every table of people's rows, in the order in which they can be written."""
    seen = {"created_at": 0.0, "last_seen_at": 0.0, "expires_at": 0.0, "address": "", "agent": ""}
    file = {"storage_key": f"{user_id}.png", "width": 64, "height": 64, "bytes": 1, "created_at": 0.0}
    ids = {"id": f"of-{user_id}", "user_id": user_id}
    return [
        UserProfile(id=user_id, display_name=user_id, role="member", created_at=0.0),
        Project(**ids, name="shelf", created_at=0.0),
        Job(**ids, **JOB),
        Asset(**ids, **ASSET, job_id=ids["id"], storage_key=""),
        Upload(**ids, **file),
        SignInSession(**ids, **seen),
        ApiKey(**ids, name="", prefix="", token_hash=user_id, scopes=[], created_at=0.0),
        Webhook(**ids, url="secret", events=[], salt="", created_at=0.0),
        JobWebhook(job_id=ids["id"], user_id=user_id, url="secret"),
        JobWebhookSecret(user_id=user_id, salt=""),
        WebhookDelivery(**ids, **DELIVERY, occasion=user_id),
        ExternalIdentity(provider="hub", subject=user_id, user_id=user_id),
        GpuUsage(**ids, job_id=ids["id"], **RUN),
    ]


@pytest.fixture
def two_shelves(postgres_database: Database) -> Database:
    """Ann and Ben have a row in every table of people's rows."""
    with postgres_database.as_system() as session:
        for person in (ANN, BEN):
            for row in rows_of(person.id):
                session.add(row)
                session.flush()
    return postgres_database


@contextmanager
def acting(database: Database, role: str, person_id: str | None = None) -> Iterator[Connection]:
    """A connection in a role, past every rule of the code. What it did is undone."""
    with database.engine.connect() as connection:
        act_as(connection, role, person_id)
        yield connection
        connection.rollback()


def test_the_rows_cover_every_table_of_peoples_rows() -> None:
    assert {row.__table__.name for row in rows_of("x")} == {table.name for table in OWNED} | {"user_profiles"}


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_the_application_role_sees_no_foreign_row(two_shelves: Database, table: Table) -> None:
    with acting(two_shelves, APP_ROLE, "ben") as connection:
        assert connection.scalars(select(table.c.user_id)).all() == ["ben"]
        assert connection.scalar(select(func.count()).select_from(table)) == 1
        assert connection.execute(select(table).where(table.c.user_id == "ann")).all() == []


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_without_a_person_the_application_role_sees_nothing(two_shelves: Database, table: Table) -> None:
    for nobody in (None, "", "nobody"):
        with acting(two_shelves, APP_ROLE, nobody) as connection:
            assert connection.scalar(select(func.count()).select_from(table)) == 0


def test_the_application_role_sees_its_own_profile_alone_and_cannot_rise(two_shelves: Database) -> None:
    with acting(two_shelves, APP_ROLE, "ben") as connection:
        assert connection.scalars(select(UserProfile.id)).all() == ["ben"]
        assert connection.execute(update(UserProfile).values(display_name="B")).rowcount == 1
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(update(UserProfile).values(role="admin"))


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_the_application_role_changes_no_foreign_row(two_shelves: Database, table: Table) -> None:
    if table.name in FOR_READING:
        for change in (delete(table), update(table).values(user_id="ann"), insert(table).values(user_id="ben")):
            with acting(two_shelves, APP_ROLE, "ben") as connection, pytest.raises(ProgrammingError, match="denied"):
                connection.execute(change)
        return
    with acting(two_shelves, APP_ROLE, "ben") as connection:
        assert connection.execute(delete(table).where(table.c.user_id == "ann")).rowcount == 0
        assert connection.execute(delete(table)).rowcount == 1
    with acting(two_shelves, APP_ROLE, "ben") as connection:
        names = ("name", "prompt", "storage_key", "address", "provider", "salt", "url")
        column = next(name for name in names if name in table.c)
        if table.name not in NOT_CHANGED:
            assert connection.execute(update(table).values({column: "x"})).rowcount == 1
        with pytest.raises(ProgrammingError, match=r"row-level security|permission denied"):
            connection.execute(update(table).values(user_id="ann"))


def test_the_application_role_adds_rows_in_no_other_name(two_shelves: Database) -> None:
    shelf = {"id": "new", "name": "new", "created_at": 0.0}
    with acting(two_shelves, APP_ROLE, "ben") as connection:
        connection.execute(insert(Project.__table__).values(**shelf, user_id="ben"))
    with (
        acting(two_shelves, APP_ROLE, "ben") as connection,
        pytest.raises(ProgrammingError, match="row-level security"),
    ):
        connection.execute(insert(Project.__table__).values(**shelf, user_id="ann"))


@pytest.fixture
def unfiltered() -> Iterator[None]:
    """The filter in the code is taken out by hand."""
    sessions = engine_module._StudioSession
    hooks = (("do_orm_execute", isolation._filter_statement), ("before_flush", isolation._check_rows))
    for name, hook in hooks:
        event.remove(sessions, name, hook)
    yield
    for name, hook in hooks:
        event.listen(sessions, name, hook)


@pytest.mark.usefixtures("unfiltered")
def test_the_filter_is_really_out(sqlite_database: Database) -> None:
    """On SQLite, where there is no second wall, its absence shows: what follows proves something."""
    with sqlite_database.as_system() as session:
        for person in (ANN, BEN):
            session.add(UserProfile(id=person.id, display_name="", role="member", created_at=0.0))
    with sqlite_database.as_person(BEN) as session:
        assert len(session.scalars(select(UserProfile)).all()) == 2


READS: dict[str, Callable[[Session], Any]] = {
    "get": lambda session: [row for row in (session.get(Job, "of-ann"), session.get(Job, "of-ben")) if row],
    "orm": lambda session: session.scalars(select(Job)).all(),
    "core": lambda session: session.execute(select(Job.__table__)).all(),
    "text": lambda session: session.execute(text("SELECT * FROM jobs")).all(),
    "join": lambda session: session.execute(select(Asset.id).join(Job, Job.id == Asset.job_id)).all(),
}


@pytest.mark.usefixtures("unfiltered")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_without_the_codes_filter_the_database_alone_keeps_people_apart(
    two_shelves: Database, read: Callable[[Session], Any]
) -> None:
    with two_shelves.as_person(BEN, write=False) as session:
        assert len(read(session)) == 1
    with pytest.raises(ProgrammingError, match="row-level security"), two_shelves.as_person(BEN) as session:
        session.add(Project(user_id="ann", name="in Ann's name", created_at=0.0))


@pytest.mark.usefixtures("unfiltered")
def test_without_the_codes_filter_the_services_show_no_foreign_thing(
    postgres_database: Database, small_catalog: Catalog, tmp_path: Path
) -> None:
    desk = Desk(postgres_database, small_catalog, ContentPolicy())
    job = desk.submit(desk.alice)
    desk.deliver(desk.claim())
    library = LibraryService(postgres_database, MediaStorage((tmp_path / "media").as_uri()))
    asset = library.list(desk.alice)["items"][0]
    ProjectService(postgres_database).create(desk.alice, "shelf")

    assert desk.jobs.list(desk.bob)["items"] == library.list(desk.bob)["items"] == []
    assert ProjectService(postgres_database).list(desk.bob) == []
    assert desk.jobs.summary(desk.bob)["done_today"] == 0
    assert library.storage_used(desk.bob) == {"bytes": 0, "assets": 0}
    for look in (
        lambda: desk.jobs.get(desk.bob, job["id"]),
        lambda: desk.jobs.cancel(desk.bob, job["id"]),
        lambda: library.get(desk.bob, asset["id"]),
        lambda: library.change(desk.bob, asset["id"], {"favourite": True}),
        lambda: library.delete(desk.bob, asset["id"]),
        lambda: library.media(desk.bob, asset["id"]),
    ):
        with pytest.raises(NotFound):
            look()


def test_every_table_of_peoples_rows_is_secured_and_roles_own_nothing(postgres_database: Database) -> None:
    flags = text(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity AND relforcerowsecurity "
        "AND relnamespace = 'public'::regnamespace"
    )
    owned = text("SELECT count(*) FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE rolname = ANY(:roles)")
    mighty = text(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) "
        "AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb)"
    )
    with postgres_database.engine.connect() as connection:
        assert set(connection.scalars(flags)) == {table.name for table in OWNED} | {"user_profiles"}
        assert connection.scalar(owned, {"roles": list(ROLES)}) == 0
        assert connection.scalars(mighty, {"roles": list(ROLES)}).all() == []


def test_every_table_is_granted_to_whom_it_is_for(postgres_database: Database) -> None:
    """A table that is made later is the system's alone, until somebody thinks of the others."""
    for table in Base.metadata.tables:
        may = select(*(func.has_table_privilege(role, table, "SELECT") for role in ROLES))
        with postgres_database.engine.connect() as connection:
            person, _, system = connection.execute(may).one()
        assert system
        assert person == (table not in SYSTEMS_ALONE), table


def test_workers_reach_job_status_and_deliveries_and_nothing_else(two_shelves: Database) -> None:
    for table in (UserProfile, Project, Upload, SignInSession, ApiKey):
        with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="denied"):
            connection.execute(select(table.__table__))
    for change in (
        update(Job).values(prompt="x"),
        update(Job).values(user_id="ben"),
        update(Asset).values(prompt="x"),
        delete(Job),
        delete(Asset),
        select(Asset.prompt),
    ):
        with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="denied"):
            connection.execute(change)
    with acting(two_shelves, WORKER_ROLE) as connection:
        assert connection.execute(update(Job).values(status="processing")).rowcount == 2


def test_workers_deliver_to_the_person_who_ordered_alone(two_shelves: Database) -> None:
    new = insert(Asset.__table__).values(**{**ASSET, "index": 1}, id="new", job_id="of-ann", storage_key="", tags=[])
    with acting(two_shelves, WORKER_ROLE) as connection:
        connection.execute(new.values(user_id="ann"))
    with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(new.values(user_id="ben"))


def test_workers_write_the_ledger_of_the_person_who_ordered_and_cannot_change_it(two_shelves: Database) -> None:
    new = insert(GpuUsage.__table__).values(**RUN, id="new", job_id="of-ann")
    with acting(two_shelves, WORKER_ROLE) as connection:
        connection.execute(new.values(user_id="ann"))
    with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(new.values(user_id="ben"))
    for change in (select(GpuUsage.seconds), update(GpuUsage).values(seconds=0.0), delete(GpuUsage)):
        with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="denied"):
            connection.execute(change)


def test_workers_know_the_roles_of_people_and_nothing_else_of_them(two_shelves: Database) -> None:
    with acting(two_shelves, WORKER_ROLE) as connection:
        assert set(connection.execute(select(UserProfile.id, UserProfile.role))) == {
            ("ann", "member"),
            ("ben", "member"),
        }
    with acting(two_shelves, WORKER_ROLE) as connection, pytest.raises(ProgrammingError, match="denied"):
        connection.execute(select(UserProfile.password_hash))


def test_neither_role_nor_person_outlives_the_transaction(two_shelves: Database) -> None:
    seen = text("SELECT pg_backend_pid(), current_user, coalesce(current_setting('app.user_id', true), '')")
    with two_shelves.as_person(BEN, write=False) as session:
        inside = session.connection().execute(seen).one()
    with two_shelves.engine.connect() as connection:
        outside = connection.execute(seen).one()
    assert tuple(inside[1:]) == (APP_ROLE, "ben")
    assert tuple(outside) == (inside[0], "studio_owner", "")


def test_readers_cannot_write_and_see_one_moment(two_shelves: Database) -> None:
    with two_shelves.as_system(write=False) as session:
        before = session.scalar(select(func.count()).select_from(Project))
        with two_shelves.as_system() as writing:
            writing.add(Project(user_id="ann", name="later", created_at=0.0))
        assert session.scalar(select(func.count()).select_from(Project)) == before
        with pytest.raises(DBAPIError, match="read-only"):
            session.connection().execute(update(Project).values(name="x"))


def test_a_lost_connection_is_replaced(two_shelves: Database, postgres_server: PostgresServer) -> None:
    with two_shelves.as_system(write=False) as session:
        pid = session.scalar(select(func.pg_backend_pid()))
    postgres_server.run(f"SELECT pg_terminate_backend({pid}, 5000)")
    with two_shelves.as_system(write=False) as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 2


def test_a_user_who_may_not_make_roles_is_told_what_to_run(postgres_server: PostgresServer, tmp_path: Path) -> None:
    postgres_server.run("CREATE ROLE newcomer LOGIN")
    try:
        with postgres_server.database("template1") as url:
            theirs = url.replace("studio_owner", "newcomer")
            with pytest.raises(CannotStart, match=r"CREATE ROLE studio_app NOLOGIN;.*TO newcomer;"):
                open_database(Settings(data_dir=tmp_path, database_url=theirs))
            database = Database(theirs)
            with pytest.raises(RolesMissing) as caught:
                database.migrate()
            sentence = str(caught.value)
            assert "\n" not in sentence
            assert sentence.endswith(f"GRANT {', '.join(ROLES)} TO newcomer;")
            name = url.rpartition("/")[2].partition("?")[0]
            postgres_server.run(f"ALTER DATABASE {name} OWNER TO newcomer")
            postgres_server.run(sentence[sentence.index("GRANT ") :])
            database.migrate()
            with database.as_person(BEN) as session:
                assert session.scalars(select(Job)).all() == []
            database.close()
    finally:
        postgres_server.run("DROP ROLE newcomer")


def test_a_role_that_would_see_past_the_policies_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.run(f"ALTER ROLE {APP_ROLE} BYPASSRLS")
    try:
        with postgres_server.database() as url:
            database = Database(url)
            with pytest.raises(RolesMissing, match=f"ALTER ROLE {APP_ROLE} NOSUPERUSER NOBYPASSRLS;"):
                database.migrate()
            database.close()
    finally:
        postgres_server.run(f"ALTER ROLE {APP_ROLE} NOBYPASSRLS")


def test_two_processes_may_start_at_once(postgres_server: PostgresServer) -> None:
    start = "import sys; from studio.database.engine import Database; Database(sys.argv[1]).migrate()"
    with postgres_server.database("template1") as url:
        command = [sys.executable, "-c", start, url]
        processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate()[1] for process in processes] == ["", ""]


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("postgres://me@db/studio", "postgresql+psycopg"),
        ("postgresql://me@db/studio", "postgresql+psycopg"),
        ("postgresql+psycopg://me@db/studio", "postgresql+psycopg"),
        ("postgresql+asyncpg://me@db/studio", "postgresql+asyncpg"),
        ("sqlite:///studio.db", "sqlite"),
    ],
)
def test_an_address_of_postgresql_means_the_driver_that_is_there(written: str, driver: str) -> None:
    assert postgres.with_driver(written).drivername == driver


def test_what_the_address_says_about_the_connection_holds() -> None:
    url = postgres.with_driver("postgresql://db/studio?connect_timeout=3")
    arguments = postgres.engine_options(url)["connect_args"]
    assert "connect_timeout" not in arguments
    assert arguments["application_name"] == "ourvidz-studio"
