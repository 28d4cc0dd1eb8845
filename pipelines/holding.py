"""One checkpoint in memory, for as long as its pipeline wants it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.contract import Progress, ReportProgress, Stage
from pipelines.loading import LoadOptions, PipelineOptions, choose_device
from pipelines.memory import free_memory, out_of_memory_as_advice
from pipelines.runs import LOADED_FRACTION

logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


class Holder(Generic[Loaded]):
    """Loads the checkpoint of `role` once, by `read`, and gives it back. `choose` picks the precision."""

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
        self._loaded: Loaded | None = None
        self._loading_s = 0.0

    def load(self, report: ReportProgress) -> Loaded:
        """Return what is in memory, brought there first if need be. Raises ModelMissing or OutOfMemory."""
        if self._loaded is not None:
            return self._loaded
        began = time.perf_counter()
        report(Progress(stage=Stage.LOADING, fraction=0.0))
        checkpoint = resolve(self._role, self._options.checkpoint, few_step=self._options.few_step)
        device = choose_device(self._options.device)
        options = LoadOptions(
            device=device,
            dtype=self._choose(device.type, self._options.dtype),
            cache_dir=self._options.cache_dir,
            offline=self._options.offline,
            single_file_config=self._options.single_file_config,
        )
        with out_of_memory_as_advice(f"loading {checkpoint.name}"):
            self._loaded = self._read(checkpoint, options)
        self._loading_s = time.perf_counter() - began
        logger.info("loaded %s on %s as %s in %.1f s", checkpoint.name, device, options.dtype, self._loading_s)
        report(Progress(stage=Stage.LOADING, fraction=LOADED_FRACTION))
        return self._loaded

    def take_loading_s(self) -> float:
        """Return the seconds spent on loading since this was last asked, so that one job counts them and no other."""
        seconds, self._loading_s = self._loading_s, 0.0
        return seconds

    def release(self) -> None:
        """Give back every byte of weights and caches."""
        self._loaded = None
        free_memory()
