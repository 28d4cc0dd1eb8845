"""Whatever happens to jobs, in whatever order: the promises of the queue hold."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from pipelines.contract import Progress, Stage
from studio.database.engine import Database
from studio.database.schema import Asset, Job
from studio.errors import Conflict
from studio.services.claims import Claim, LeaseLost
from studio.services.policy import ContentPolicy
from tests.postgres import database_of_kind

MAX_JOBS = 8
ENDED = ("completed", "failed", "cancelled")


class JobLifecycle(RuleBasedStateMachine):
    """Submit, claim, report, deliver, fail, lose, stop, retry: in any order, by holders of live and of stale claims."""

    database_of_one_run: Callable[[Path], AbstractContextManager[str]]
    make_desk: Any

    jobs: Bundle[str] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")

    @initialize()
    def open_studio(self) -> None:
        self.closing = ExitStack()
        folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
        self.database = Database(self.closing.enter_context(self.database_of_one_run(folder)))
        self.closing.callback(self.database.close)
        self.desk = self.make_desk(self.database)
        self.seen: dict[str, dict[str, Any]] = {}
        self.retried: set[str] = set()
        self.newest: Claim | None = None

    def teardown(self) -> None:
        self.closing.close()

    @precondition(lambda self: len(self.seen) < MAX_JOBS)
    @rule(target=jobs, count=st.integers(1, 2), mine=st.booleans())
    def submit(self, count: int, mine: bool) -> str:
        return self.desk.submit(self.desk.alice if mine else self.desk.bob, count=count)["id"]

    @rule(target=claims, waits_are_over=st.integers(0, 5))
    def claim(self, waits_are_over: int) -> Any:
        if waits_are_over:
            with self.database.as_system() as session:
                session.execute(update(Job).where(Job.status == "pending").values(not_before=1.0))
        claim = self.desk.leases.claim("sdxl")
        if claim is None:
            return multiple()
        self.newest = claim
        return claim

    @rule(claim=claims, newest=st.booleans(), fraction=st.floats(0, 1), preview=st.none() | st.binary(max_size=3))
    def renew(self, claim: Claim, newest: bool, fraction: float, preview: bytes | None) -> None:
        claim = self.newest if newest and self.newest else claim
        progress = Progress(stage=Stage.DENOISING, fraction=fraction, preview=preview)
        self.write(claim, lambda: self.desk.leases.renew(claim, progress, {"denoising_s": 1.0}))

    @rule(claim=claims, newest=st.booleans())
    def deliver(self, claim: Claim, newest: bool) -> None:
        claim = self.newest if newest and self.newest else claim
        row = self.desk.row(claim.job_id)
        delivered_before = row.status == "completed" and row.lease_token == claim.lease_token
        if delivered_before:
            self.desk.deliver(claim)
        else:
            self.write(claim, lambda: self.desk.deliver(claim))

    @rule(
        claim=claims,
        newest=st.booleans(),
        transient=st.sampled_from([True, True, True, False]),
        code=st.sampled_from(["internal", "worker_lost"]),
    )
    def fail(self, claim: Claim, newest: bool, transient: bool, code: str) -> None:
        claim = self.newest if newest and self.newest else claim
        self.write(claim, lambda: self.desk.leases.fail(claim, code, "It broke.", transient=transient))

    @rule(claim=claims, newest=st.booleans())
    def hand_back(self, claim: Claim, newest: bool) -> None:
        claim = self.newest if newest and self.newest else claim
        self.write(claim, lambda: self.desk.leases.hand_back(claim))

    @rule(job=jobs)
    def expire(self, job: str) -> None:
        if self.desk.row(job).status == "processing":
            self.desk.expire(job)
            assert self.desk.leases.sweep() == ["sdxl"]
            assert self.desk.row(job).status != "processing"

    @rule(job=jobs, newest=st.booleans())
    def cancel(self, job: str, newest: bool) -> None:
        if newest and self.newest is not None:
            job = self.newest.job_id
        before = self.desk.row(job)
        person = self.desk.alice if before.user_id == self.desk.alice.id else self.desk.bob
        try:
            shown = self.desk.jobs.cancel(person, job)
        except Conflict:
            assert before.status in ("completed", "failed")
        else:
            assert shown["status"] == "cancelled" or (shown["status"] == "processing" and shown["cancel_requested"])

    @rule(job=jobs)
    def retry(self, job: str) -> None:
        before = self.desk.row(job)
        person = self.desk.alice if before.user_id == self.desk.alice.id else self.desk.bob
        try:
            self.desk.jobs.retry(person, job)
        except Conflict:
            assert before.status not in ("failed", "cancelled")
        else:
            assert before.status in ("failed", "cancelled")
            self.retried.add(job)

    def write(self, claim: Claim, write: Any) -> None:
        """A claim may write exactly as long as it holds the job."""
        row = self.desk.row(claim.job_id)
        holds = row.status == "processing" and row.lease_token == claim.lease_token
        if holds:
            write()
        else:
            with pytest.raises(LeaseLost):
                write()

    @invariant()
    def promises_hold(self) -> None:
        with self.database.as_system(write=False) as session:
            rows = session.scalars(select(Job)).all()
            assets = Counter(session.scalars(select(Asset.job_id)))
        for row in rows:
            now = {column.key: getattr(row, column.key) for column in Job.__table__.columns if column.key != "preview"}
            before = self.seen.get(row.id)
            self.check_one(now, assets[row.id])
            if before is not None:
                self.check_change(before, now)
            self.seen[row.id] = now
        self.retried.clear()

    def check_one(self, now: dict[str, Any], assets: int) -> None:
        assert assets == (now["config"]["count"] if now["status"] == "completed" else 0)
        assert now["attempt"] <= 3
        assert now["worker_losses"] <= 3
        assert (now["lease_owner"] is not None) == (now["status"] == "processing")
        assert (now["finished_at"] is not None) == (now["status"] in ENDED)
        assert (now["error_code"] is not None) == (now["status"] == "failed")
        if now["status"] == "pending":
            assert (now["stage"], now["fraction"], now["started_at"]) == ("queued", 0.0, None)
            assert not now["cancel_requested"], "a job that was asked to stop must not wait for another attempt"

    def check_change(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        shown = [key for key in before if key not in ("lease_expires_at", "not_before", "revision")]
        if any(before[key] != now[key] for key in shown):
            assert now["revision"] > before["revision"], "every visible change has a number"
        else:
            assert now["revision"] >= before["revision"]
        if before["status"] in ENDED and now["id"] not in self.retried:
            assert now["status"] == before["status"], "an ended job never runs again by itself"
        assert (now["config"], now["prompt"], now["user_id"]) == (before["config"], before["prompt"], before["user_id"])


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 30), ("postgresql", 15)])
def test_the_promises_of_the_queue_hold(
    kind: str, examples: int, migrated_file: Path, small_catalog: Any, desk_class: Any, request: pytest.FixtureRequest
) -> None:
    @contextmanager
    def empty_database(folder: Path) -> Iterator[str]:
        with database_of_kind(kind, folder, request) as url:
            if kind == "sqlite":
                shutil.copy(migrated_file, folder / "studio.db")
            yield url

    class Machine(JobLifecycle):
        database_of_one_run = staticmethod(empty_database)
        make_desk = staticmethod(lambda database: desk_class(database, small_catalog, ContentPolicy()))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True, phases=[Phase.generate]
        ),
    )
