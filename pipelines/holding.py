"""One checkpoint in memory, for as long as its pipeline wants it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

import torch

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.contract import Occupied, Progress, ReportProgress, Stage
from pipelines.loading import LoadOptions, PipelineOptions, choose_device
from pipelines.memory import free_memory, out_of_memory_as_advice
from pipelines.metering import Meter
from pipelines.residency import Parts
from pipelines.runs import LOADED_FRACTION

logger = logging.getLogger(__name__)


class InParts(Protocol):
    """What a checkpoint is read into: whatever its pipeline needs, and the parts that give way."""

    @property
    def parts(self) -> Parts:
        """The parts by name."""


Loaded = TypeVar("Loaded", bound=InParts)


class Holder(Generic[Loaded]):
    """Loads the checkpoint of `role` once, by `read`, and gives it back. `choose` picks the precision.

    The weights are read into the computer's own memory; each part moves to a card when a run first needs it, as that
    run's plan says.
    """

    def __init__(
        self,
        role: str,
        options: PipelineOptions,
        *,
        choose: Callable[[str, str | None], torch.dtype],
        read: Callable[[Checkpoint, LoadOptions], Loaded],
    ) -> None:
        self._role = role
        self._options = options
        self._choose = choose
        self._read = read
        self._device = choose_device(options.device)
        self._meter = Meter(self._device, role)
        self._loaded: Loaded | None = None
        self._loading_s = 0.0

    def begin(self, report: ReportProgress) -> Loaded:
        """Return what is in memory, as `load`, and measure a run's memory from here on."""
        self._meter.restart()
        return self.load(report)

    def load(self, report: ReportProgress) -> Loaded:
        """Return what is in memory, read first if need be, part by part. Raises ModelMissing or OutOfMemory."""
        if self._loaded is not None:
            return self._loaded
        began = time.perf_counter()
        self._meter.restart()
        report(Progress(stage=Stage.LOADING, fraction=0.0))
        checkpoint = resolve(self._role, self._options.checkpoint, few_step=self._options.few_step)
        options = self._load_options(report)
        with out_of_memory_as_advice(f"loading {checkpoint.name}"):
            self._loaded = self._read(checkpoint, options)
        self._loading_s = time.perf_counter() - began
        logger.info("loaded %s for %s as %s in %.1f s", checkpoint.name, self._device, options.dtype, self._loading_s)
        report(Progress(stage=Stage.LOADING, fraction=LOADED_FRACTION))
        return self._loaded

    def take_loading_s(self) -> float:
        """Return the seconds spent on loading since this was last asked, so that one job counts them and no other."""
        seconds, self._loading_s = self._loading_s, 0.0
        return seconds

    def give_way(self, names: Collection[str]) -> None:
        """Take these parts off the device, as far as they are there."""
        if self._loaded is not None:
            self._loaded.parts.give_way(names)

    def occupied(self) -> Occupied:
        """Return what this process occupies on the device, its peak counted from the last `begin` or loading."""
        parts = {} if self._loaded is None else self._loaded.parts.bytes_there()
        return self._meter.occupied(parts)

    def release(self) -> None:
        """Give back every byte of weights and caches."""
        self._loaded = None
        free_memory()

    def _load_options(self, report: ReportProgress) -> LoadOptions:
        def tell(part: str, done: int, total: int) -> None:
            fraction = LOADED_FRACTION * done / total
            report(Progress(stage=Stage.LOADING, fraction=fraction, step=done, steps=total, text=part))

        return LoadOptions(
            device=self._device,
            dtype=self._choose(self._device.type, self._options.dtype),
            cache_dir=self._options.cache_dir,
            offline=self._options.offline,
            single_file_config=self._options.single_file_config,
            switches=self._options.switches,
            on_host=True,
            on_part=tell,
        )
