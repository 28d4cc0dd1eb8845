"""How the studio itself is doing: whether it can take work, and the figures for monitoring."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from queue_backend.ledger import DeviceStatus
from queue_backend.slots import WorkerState, WorkerStatus
from studio.database.engine import Database
from studio.database.schema import STATUSES, Job
from studio.errors import StudioError
from studio.media.storage import PNG, UPLOAD_PREFIX, MediaStorage

LOG = logging.getLogger(__name__)


class Fleet(Protocol):
    """Reports on the worker processes."""

    def status(self) -> Sequence[WorkerStatus]: ...

    def devices(self) -> Sequence[DeviceStatus]: ...


class Vitals:
    """Readiness and metrics of one studio. `lanes` are named, so that an idle one shows as 0."""

    def __init__(self, database: Database, storage: MediaStorage, fleet: Fleet, lanes: Sequence[str]) -> None:
        self._database = database
        self._storage = storage
        self._fleet = fleet
        self._lanes = tuple(lanes)
        self._probe_key = f"{UPLOAD_PREFIX}/readiness/{os.getpid()}.png"
        self._registry = CollectorRegistry(auto_describe=True)
        self._registry.register(_Figures(self))

    def failing(self) -> list[str]:
        """What keeps the studio from taking work: "database" that does not answer, "storage" that takes no file."""
        found = []
        try:
            with self._database.as_system(write=False) as session:
                session.execute(select(func.count()).select_from(Job).where(Job.id == ""))
        except SQLAlchemyError:
            LOG.exception("The database does not answer.")
            found.append("database")
        try:
            self._storage.put_bytes(self._probe_key, PNG.magic)
            self._storage.delete([self._probe_key])
        except StudioError:
            LOG.exception("The storage takes no file.")
            found.append("storage")
        return found

    def metrics(self) -> bytes:
        """Every figure in Prometheus' text format."""
        return generate_latest(self._registry)

    def jobs_by_status(self) -> dict[str, int]:
        """How many jobs of everybody have each status."""
        with self._database.as_system(write=False) as session:
            known = dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())
        return {status: known.get(status, 0) for status in STATUSES}

    def waiting_by_lane(self) -> dict[str, int]:
        """How many jobs of everybody wait in each lane."""
        waiting = select(Job.lane, func.count()).where(Job.status == "pending").group_by(Job.lane)
        with self._database.as_system(write=False) as session:
            known = dict(session.execute(waiting).all())
        return {lane: known.get(lane, 0) for lane in self._lanes}

    def workers(self) -> Sequence[WorkerStatus]:
        """Every worker process."""
        return self._fleet.status()

    def devices(self) -> Sequence[DeviceStatus]:
        """Every device whose memory the workers share."""
        return self._fleet.devices()


class _Figures(Collector):
    """Asks for the figures at each scrape, so that none can go stale."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing in advance: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("studio_jobs", "Jobs by status", labels=["status"])
        for status, count in self._vitals.jobs_by_status().items():
            jobs.add_metric([status], count)
        queue = GaugeMetricFamily("studio_queue_length", "Jobs waiting in a lane", labels=["lane"])
        for lane, count in self._vitals.waiting_by_lane().items():
            queue.add_metric([lane], count)
        yield jobs
        yield queue
        yield from self._of_workers(self._vitals.workers())
        yield from self._of_devices(self._vitals.devices())

    @staticmethod
    def _of_workers(workers: Sequence[WorkerStatus]) -> Iterator[GaugeMetricFamily]:
        states = GaugeMetricFamily(
            "studio_worker_state", "1 for the state a worker is in", labels=["lane", "worker", "state"]
        )
        memory = GaugeMetricFamily(
            "studio_worker_resident_bytes", "Resident memory of a worker", labels=["lane", "worker"]
        )
        losses = GaugeMetricFamily("studio_worker_deaths", "Times a worker died", labels=["lane", "worker"])
        for worker in workers:
            names = [worker.lane, str(worker.index)]
            for state in WorkerState:
                states.add_metric([*names, state.value], float(worker.state is state))
            memory.add_metric(names, worker.rss_bytes)
            losses.add_metric(names, worker.restarts)
        yield from (states, memory, losses)

    @staticmethod
    def _of_devices(devices: Sequence[DeviceStatus]) -> Iterator[GaugeMetricFamily]:
        shares = GaugeMetricFamily(
            "studio_device_bytes",
            "Planned memory of a device: its budget, what is held, what runs take",
            labels=["device", "share"],
        )
        for device in devices:
            shares.add_metric([device.device, "budget"], device.budget_bytes)
            shares.add_metric([device.device, "held"], device.held_bytes)
            shares.add_metric([device.device, "working"], device.working_bytes)
        yield shares
