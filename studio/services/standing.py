"""Where a job stands: how many come first, and when it will be done.

How fast this installation is, it learns from its own completed jobs; until it has some, each job's `cost_s` holds.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, case, func, literal, select
from sqlalchemy.orm import Session

from studio.catalog import Catalog, JobType
from studio.database.engine import Database, db_now
from studio.database.schema import Job, Lane
from studio.orders import JobConfig, cost_s, leg_span
from studio.services.running_caps import RunningCaps
from studio.services.transitions import ENHANCING_S

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
    """How much longer than its `cost_s` a leg of each type runs here, loading of the model left out: the median of the
    last runs' ratios, so that jobs of every size teach about jobs of any other."""

    def __init__(self, catalog: Catalog, now: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, float]] = {}

    def factor(self, session: Session, job_type: str, lane: str) -> float:
        """Expected run seconds in `lane` a second of `cost_s` for `job_type`; 1 without runs."""
        with self._lock:
            until, known = self._known.get((job_type, lane), (-1.0, 0.0))
        if self._now() < until:
            return known
        kind = self._catalog.types.get(job_type)
        rewrites = kind is not None and lane != kind.engine
        rewriting_s = kind.rewriting_s if kind is not None and rewrites else 0.0
        ratios = _rewriting_ratios(session, job_type, rewriting_s) if rewrites else _run_ratios(session, job_type)
        learned = statistics.median(ratios) if ratios else 1.0
        with self._lock:
            self._known[job_type, lane] = (self._now() + LEARNED_FOR_S, learned)
        return learned


def _run_ratios(session: Session, job_type: str) -> list[float]:
    run_s = Job.finished_at - Job.started_at
    ran = (
        select(run_s, Job.timings, Job.cost_s)
        .where(Job.type == job_type, Job.status == "completed", run_s.is_not(None), Job.cost_s > 0)
        .order_by(Job.finished_at.desc())
        .limit(RUNS_TO_LEARN_FROM)
    )
    # A cold start says nothing about the next run.
    return [
        max(0.0, seconds - timings.get("loading_s", 0.0)) / cost_s for seconds, timings, cost_s in session.execute(ran)
    ]


def _rewriting_ratios(session: Session, job_type: str, rewriting_s: float) -> list[float]:
    ran = (
        select(Job.timings)
        .where(Job.type == job_type, Job.status == "completed")
        .order_by(Job.finished_at.desc())
        .limit(RUNS_TO_LEARN_FROM)
    )
    if rewriting_s <= 0:
        return []
    return [timings[ENHANCING_S] / rewriting_s for timings in session.scalars(ran) if ENHANCING_S in timings]


class Standings:
    """Answers for many jobs at once with three statements, whatever their number.

    `lane_workers` says how many jobs a lane runs at once (1 where it is silent), `caps` who may have how many running.
    """

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        lane_workers: Mapping[str, int] | None = None,
        caps: RunningCaps | None = None,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._lane_workers = dict(lane_workers or {})
        self._caps = caps or RunningCaps()
        self._run_times = RunTimes(catalog)

    def of(self, jobs: Sequence[Job]) -> dict[str, Standing]:
        """The standing of each of `jobs`, by job id."""
        unfinished = [job for job in jobs if job.status in ("pending", "processing")]
        if not unfinished:
            return {job.id: ENDED_STANDING for job in jobs}
        with self._database.as_system(write=False) as session:
            lanes = self._lanes_now(session)
            waiting = [job for job in unfinished if job.status == "pending"]
            ahead = self._ahead(session, waiting, lanes) if waiting else {}
            known = {job.id: self._standing(session, job, lanes, ahead) for job in unfinished}
        return {job.id: known.get(job.id, ENDED_STANDING) for job in jobs}

    def next_start_s(self, user_id: str) -> float | None:
        """Seconds until the first of the person's waiting jobs starts; None if none waits."""
        mine = select(Job).where(Job.user_id == user_id, Job.status == "pending")
        with self._database.as_system(write=False) as session:
            waiting = session.scalars(mine).all()
            lanes = self._lanes_now(session)
            ahead = self._ahead(session, waiting, lanes) if waiting else {}
            return min((_wait_s(lanes[job.lane], ahead.get(job.id, NOTHING_AHEAD)) for job in waiting), default=None)

    def estimate(self, kind: JobType, config: JobConfig, user_id: str) -> dict[str, float]:
        """Seconds that such a job would run ("run_s") and wait ("wait_s"), over all its legs, if `user_id` ordered it
        now."""
        rules = self._catalog.rules(kind)
        run_s = wait_s = 0.0
        with self._database.as_system(write=False) as session:
            lanes = self._lanes_now(session)
            for lane in kind.lanes:
                cost = cost_s(kind, config, rules, lane)
                ahead_s = self._sooner_s(session, lane, user_id, cost)
                # What a lane works off meanwhile, the job need not wait for.
                wait_s += max(0.0, (lanes[lane].free_in_s + ahead_s) / lanes[lane].workers - wait_s - run_s)
                run_s += cost * self._run_times.factor(session, kind.name, lane)
        return {"run_s": round(run_s, 1), "wait_s": round(wait_s, 1)}

    def _sooner_s(self, session: Session, lane: str, user_id: str, cost: float) -> float:
        """Seconds of work waiting in `lane` that would come before a job of `user_id` that costs `cost`."""
        clock = session.scalar(select(Lane.clock).where(Lane.name == lane)) or 0.0
        mine = select(func.max(Job.turn)).where(Job.lane == lane, Job.user_id == user_id, Job.status == "pending")
        turn = max(clock, session.scalar(mine) or 0.0) + cost
        sooner = select(Job.type, func.sum(Job.cost_s)).where(
            Job.lane == lane, Job.status == "pending", Job.turn <= turn
        )
        found = session.execute(sooner.group_by(Job.type)).all()
        return sum(float(costs_s) * self._run_times.factor(session, name, lane) for name, costs_s in found)

    def _lanes_now(self, session: Session) -> dict[str, _LaneNow]:
        elapsed_s = db_now() - func.coalesce(Job.started_at, db_now())
        columns = Job.id, Job.user_id, Job.lane, Job.type, Job.cost_s, Job.config, elapsed_s, Job.fraction
        running = session.execute(select(*columns).where(Job.status == "processing")).all()
        found: dict[str, _LaneNow] = defaultdict(lambda: _LaneNow(workers=1))
        found |= {lane: _LaneNow(workers=max(1, self._lane_workers.get(lane, 1))) for lane in self._catalog.lanes}
        for job_id, user_id, lane, name, cost, config, seconds, fraction in running:
            found[lane].left_s[job_id] = remaining_s(
                cost * self._run_times.factor(session, name, lane),
                seconds,
                self._leg_fraction(name, config, lane, fraction),
            )
            found[lane].owners[job_id] = user_id
        return found

    def _leg_fraction(self, job_type: str, config: Mapping[str, Any], lane: str, fraction: float) -> float:
        """How far the leg in `lane` is, of a job that is `fraction` done as a whole."""
        kind = self._catalog.types.get(job_type)
        if kind is None or len(kind.lanes) == 1:
            return fraction
        return leg_span(kind, JobConfig.model_validate(config), self._catalog.rules(kind), lane).of_leg(fraction)

    def _ahead(self, session: Session, jobs: Sequence[Job], lanes: Mapping[str, _LaneNow]) -> dict[str, _Ahead]:
        """What comes before each of the waiting `jobs`: all pending ones with a smaller turn, but for those of others
        who are passed over, since they have as many running as they may."""
        here = {job.lane for job in jobs}
        pending = Job.status == "pending", Job.lane.in_(here)
        legs = session.execute(select(Job.type, Job.lane).where(*pending).distinct()).all()
        if not legs:  # all were claimed since they were read
            return {}
        held = set(session.scalars(self._caps.full()).all())
        factors = [
            (and_(Job.type == name, Job.lane == lane), self._run_times.factor(session, name, lane))
            for name, lane in legs
        ]
        run_s = Job.cost_s * case(*factors, else_=literal(1.0))
        counts = case((Job.user_id.in_(held), 0), else_=1) if held else literal(1)
        line = (
            select(Job.id, *_sums("all", literal(1), run_s), *_sums("free", counts, run_s)).where(*pending).subquery()
        )
        ids = [job.id for job in jobs]
        found = session.execute(select(line).where(line.c.id.in_(ids))).mappings().all()
        owners = {job.id: job.user_id for job in jobs}
        return {row["id"]: _ahead_of(row, owners[row["id"]], held, lanes) for row in found}

    def _standing(
        self, session: Session, job: Job, lanes: Mapping[str, _LaneNow], ahead: Mapping[str, _Ahead]
    ) -> Standing:
        lane, later_s = lanes[job.lane], self._later_legs_s(session, job, lanes)
        if job.status == "processing":
            # Absent when it ended since it was read: done any moment.
            return Standing(queue_position=0, eta_s=lane.left_s.get(job.id, 0.0) + later_s)
        before = ahead.get(job.id, NOTHING_AHEAD)
        own_s = job.cost_s * self._run_times.factor(session, job.type, job.lane)
        eta_s = _wait_s(lane, before) + own_s + later_s
        return Standing(queue_position=before.jobs + len(lane.left_s), eta_s=eta_s)

    def _later_legs_s(self, session: Session, job: Job, lanes: Mapping[str, _LaneNow]) -> float:
        """Seconds that the legs after the present one take, with what runs in their lanes now."""
        kind = self._catalog.types.get(job.type)
        seconds = 0.0
        for lane in _lanes_after(kind, job.lane):
            assert kind is not None
            cost = cost_s(kind, JobConfig.model_validate(job.config), self._catalog.rules(kind), lane)
            seconds += lanes[lane].free_in_s / lanes[lane].workers
            seconds += cost * self._run_times.factor(session, kind.name, lane)
        return seconds


def _lanes_after(kind: JobType | None, lane: str) -> tuple[str, ...]:
    """The lanes that a job of `kind` still passes through after `lane`."""
    return kind.lanes[kind.lanes.index(lane) + 1 :] if kind is not None and lane in kind.lanes else ()


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
    """A lane at one moment: the seconds that each running job still needs, and whose it is."""

    workers: int
    left_s: dict[str, float] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    @property
    def free_in_s(self) -> float:
        """Worker seconds until all running jobs are done; 0 while a worker is idle, since the next job then starts at
        once, however long the running ones still take."""
        return sum(self.left_s.values()) if len(self.left_s) >= self.workers else 0.0


@dataclass(frozen=True, kw_only=True)
class _Ahead:
    """What comes before a waiting job: so many waiting jobs, the seconds they take together, and, where its person has
    as many running as they may, the seconds until one of those ends."""

    jobs: int
    seconds: float
    held_s: float = 0.0


NOTHING_AHEAD = _Ahead(jobs=0, seconds=0.0)


def _sums(name: str, counts: ColumnElement[int], run_s: ColumnElement[float]) -> tuple[ColumnElement[Any], ...]:
    """The jobs and seconds before each row of a lane, of the rows of which `counts` is 1."""

    def before(amount: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sum(amount).over(partition_by=Job.lane, order_by=(Job.turn, Job.id)) - amount

    return before(counts).label(f"{name}_jobs"), before(counts * run_s).label(f"{name}_seconds")


def _ahead_of(row: RowMapping, user_id: str, held: set[str], lanes: Mapping[str, _LaneNow]) -> _Ahead:
    which = "all" if user_id in held else "free"
    own_s = [
        left_s
        for lane in lanes.values()
        for job_id, left_s in lane.left_s.items()
        if user_id in held and lane.owners[job_id] == user_id
    ]
    return _Ahead(
        jobs=int(row[f"{which}_jobs"]), seconds=float(row[f"{which}_seconds"]), held_s=min(own_s, default=0.0)
    )


def _wait_s(lane: _LaneNow, before: _Ahead) -> float:
    return max(before.held_s, (lane.free_in_s + before.seconds) / lane.workers)
