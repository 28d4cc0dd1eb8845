"""Where a job stands: how many come first, and when it will be done.

How fast this installation is, it learns from its own completed jobs; until it has some, each job's `cost_s` holds.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, literal, select
from sqlalchemy.orm import Session

from studio.catalog import Catalog
from studio.database.engine import Database, db_now
from studio.database.schema import Job, Lane

RUNS_TO_LEARN_FROM = 20
LEARNED_FOR_S = 5.0
"""How long a learned factor is kept before the database is asked again."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`queue_position` counts the jobs that come first, running ones included; `eta_s` is seconds until done."""

    queue_position: int
    eta_s: float | None


ENDED_STANDING = Standing(queue_position=0, eta_s=None)


class RunTimes:
    """How much longer than its `cost_s` a job of each type runs here, loading of the model left out: the median of the
    last runs' ratios, so that jobs of every size teach about jobs of any other."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, float]] = {}

    def factor(self, session: Session, job_type: str) -> float:
        """Expected run seconds a second of `cost_s` for `job_type`; 1 without runs."""
        with self._lock:
            until, known = self._known.get(job_type, (-1.0, 0.0))
        if self._now() < until:
            return known
        ratios = self._last_ratios(session, job_type)
        learned = statistics.median(ratios) if ratios else 1.0
        with self._lock:
            self._known[job_type] = (self._now() + LEARNED_FOR_S, learned)
        return learned

    def _last_ratios(self, session: Session, job_type: str) -> list[float]:
        run_s = Job.finished_at - Job.started_at
        ran = (
            select(run_s, Job.timings, Job.cost_s)
            .where(Job.type == job_type, Job.status == "completed", run_s.is_not(None), Job.cost_s > 0)
            .order_by(Job.finished_at.desc())
            .limit(RUNS_TO_LEARN_FROM)
        )
        # A cold start says nothing about the next run.
        return [
            max(0.0, seconds - timings.get("loading_s", 0.0)) / cost_s
            for seconds, timings, cost_s in session.execute(ran)
        ]


class Standings:
    """Answers for many jobs at once with two statements, whatever their number.

    `lane_workers` says how many jobs a lane runs at once (1 where it is silent).
    """

    def __init__(self, database: Database, catalog: Catalog, lane_workers: Mapping[str, int] | None = None) -> None:
        self._database = database
        self._catalog = catalog
        self._lane_workers = dict(lane_workers or {})
        self._run_times = RunTimes()

    def of(self, jobs: Sequence[Job]) -> dict[str, Standing]:
        """The standing of each of `jobs`, by job id."""
        unfinished = [job for job in jobs if job.status in ("pending", "processing")]
        if not unfinished:
            return {job.id: ENDED_STANDING for job in jobs}
        with self._database.as_system(write=False) as session:
            lanes = self._lanes_now(session, {job.lane for job in unfinished})
            waiting = [job.id for job in unfinished if job.status == "pending"]
            ahead = self._ahead(session, waiting, set(lanes)) if waiting else {}
            known = {job.id: self._standing(session, job, lanes[job.lane], ahead) for job in unfinished}
        return {job.id: known.get(job.id, ENDED_STANDING) for job in jobs}

    def estimate(self, job_type: str, cost_s: float) -> dict[str, float]:
        """Seconds that such a job, which costs `cost_s`, would run ("run_s") and wait before ("wait_s") if ordered
        now."""
        kind = self._catalog.types[job_type]
        with self._database.as_system(write=False) as session:
            lane = self._lanes_now(session, {kind.lanes[0]})[kind.lanes[0]]
            clock = select(Lane.clock).where(Lane.name == kind.lanes[0]).scalar_subquery()
            sooner = select(Job.type, func.sum(Job.cost_s)).where(
                Job.lane == kind.lanes[0],
                Job.status == "pending",
                Job.turn <= func.coalesce(clock, 0.0) + cost_s,
            )
            ahead_s = sum(
                costs_s * self._run_times.factor(session, name)
                for name, costs_s in session.execute(sooner.group_by(Job.type))
            )
            run_s = cost_s * self._run_times.factor(session, job_type)
        return {"run_s": round(run_s, 1), "wait_s": round((lane.free_in_s + ahead_s) / lane.workers, 1)}

    def _lanes_now(self, session: Session, lanes: set[str]) -> dict[str, _LaneNow]:
        elapsed_s = db_now() - func.coalesce(Job.started_at, db_now())
        columns = Job.id, Job.lane, Job.type, Job.cost_s, elapsed_s, Job.fraction
        running = session.execute(select(*columns).where(Job.status == "processing", Job.lane.in_(lanes))).all()
        found = {}
        for lane in lanes:
            left_s = {
                job_id: remaining_s(cost_s * self._run_times.factor(session, job_type), elapsed_s, fraction)
                for job_id, of_lane, job_type, cost_s, elapsed_s, fraction in running
                if of_lane == lane
            }
            workers = max(1, self._lane_workers.get(lane, 1))
            # While a worker is idle the next job starts at once, however long the running ones still take.
            found[lane] = _LaneNow(left_s=left_s, workers=workers, full=len(left_s) >= workers)
        return found

    def _ahead(self, session: Session, waiting: Sequence[str], lanes: set[str]) -> dict[str, tuple[int, float]]:
        """For each waiting job: how many pending ones have a smaller turn, and the seconds they take together."""
        pending = Job.status == "pending", Job.lane.in_(lanes)
        types = session.scalars(select(Job.type).where(*pending).distinct()).all()
        if not types:  # all were claimed since they were read
            return {}
        factors = {name: self._run_times.factor(session, name) for name in types}
        run_s = Job.cost_s * case(factors, value=Job.type, else_=literal(1.0))
        line = (
            select(
                Job.id,
                (func.row_number().over(partition_by=Job.lane, order_by=(Job.turn, Job.id)) - 1).label("jobs"),
                (func.sum(run_s).over(partition_by=Job.lane, order_by=(Job.turn, Job.id)) - run_s).label("seconds"),
            )
            .where(*pending)
            .subquery()
        )
        found = session.execute(select(line.c.id, line.c.jobs, line.c.seconds).where(line.c.id.in_(waiting)))
        return {job_id: (int(jobs), float(seconds)) for job_id, jobs, seconds in found}

    def _standing(self, session: Session, job: Job, lane: _LaneNow, ahead: Mapping[str, tuple[int, float]]) -> Standing:
        if job.status == "processing":
            # Absent when it ended since it was read: done any moment.
            return Standing(queue_position=0, eta_s=lane.left_s.get(job.id, 0.0))
        jobs, seconds = ahead.get(job.id, (0, 0.0))
        own_s = job.cost_s * self._run_times.factor(session, job.type)
        wait_s = (lane.free_in_s + seconds) / lane.workers
        return Standing(queue_position=jobs + len(lane.left_s), eta_s=wait_s + own_s)


def remaining_s(usual_s: float, elapsed_s: float, fraction: float) -> float:
    """Seconds a running job still needs: first by what such jobs usually take (`usual_s`), and the further it is
    (`fraction` in [0, 1]), by its own speed."""
    by_habit_s = max(0.0, usual_s - elapsed_s)
    if fraction <= 0:
        return by_habit_s
    by_speed_s = elapsed_s * (1 - fraction) / fraction
    return (1 - fraction) * by_habit_s + fraction * by_speed_s


@dataclass(frozen=True, kw_only=True)
class _LaneNow:
    """A lane at one moment: the seconds that each running job still needs."""

    left_s: dict[str, float]
    workers: int
    full: bool

    @property
    def free_in_s(self) -> float:
        """Worker seconds until all running jobs are done; 0 while a worker is idle."""
        return sum(self.left_s.values()) if self.full else 0.0
