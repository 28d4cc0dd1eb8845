"""The stages of one job, of whatever family: each reports its progress, heeds a cancel and is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pipelines.contract import Artifact, Cancelled, GenerationRequest, IsCancelled, Progress, ReportProgress, Stage
from pipelines.latents import require_finite

# The share of a run's progress that is over when each stage begins.
LOADED_FRACTION = 0.05
DENOISED_FRACTION = 0.90
DECODED_FRACTION = 0.98
PNG_COMPRESSION = 1

OnStep = Callable[[Any, int, dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """One call of a diffusers pipeline: `arguments` beside the prompts. `scheduler` is the pipeline's own, and carries
    `clean_sample`. `on_step` is called with the pipeline, the steps that are done and the tensors that the pipeline
    goes on with, which it may change. `pictures` are made at once; a film counts as one."""

    pipe: Any
    scheduler: Any
    arguments: Mapping[str, Any]
    on_step: OnStep | None = None
    pictures: int = 1


class Run:
    """What one job has reported and how long it took: `timings_s` by stage, in seconds."""

    def __init__(
        self,
        request: GenerationRequest,
        report: ReportProgress,
        is_cancelled: IsCancelled,
        preview_interval_s: float,
    ) -> None:
        self.request = request
        self.is_cancelled = is_cancelled
        self._report = report
        self._preview_interval_s = preview_interval_s
        self._preview_due = 0.0
        self._began = time.perf_counter()
        self.timings_s: dict[str, float] = {}

    def denoise(
        self, calls: Sequence[Denoising], prompts: Mapping[str, Any], preview: Callable[[torch.Tensor], bytes]
    ) -> torch.Tensor:
        """Return the clean latents of all `calls`, one after the other. `preview` draws the estimate of a step, all
        pictures side by side: those of earlier calls finished, those of later ones still blank."""
        self.stop_if_cancelled()
        self._report(Progress(stage=Stage.DENOISING, fraction=LOADED_FRACTION))
        made: list[torch.Tensor] = []
        for i, call in enumerate(calls):
            left = sum(later.pictures for later in calls[i + 1 :])
            made.append(self._call(call, prompts, _among(preview, made, left), i, len(calls)))
        latents = torch.cat(made)
        require_finite(latents, "denoising")
        self.clock("denoising_s")
        return latents

    def _call(
        self,
        call: Denoising,
        prompts: Mapping[str, Any],
        preview: Callable[[torch.Tensor], bytes],
        index: int,
        count: int,
    ) -> torch.Tensor:
        def after_step(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            self.stop_if_cancelled()
            if call.on_step is not None:
                call.on_step(pipe, step + 1, tensors)
            steps = int(pipe.num_timesteps)
            done = index * steps + step + 1
            share = done / (count * steps)
            self._report(
                Progress(
                    stage=Stage.DENOISING,
                    fraction=LOADED_FRACTION + (DENOISED_FRACTION - LOADED_FRACTION) * share,
                    step=done,
                    steps=count * steps,
                    preview=self._preview(preview, call.scheduler.clean_sample),
                )
            )
            return tensors

        try:
            latents: torch.Tensor = call.pipe(
                **call.arguments, **prompts, output_type="latent", return_dict=False, callback_on_step_end=after_step
            )[0]
        finally:
            call.pipe.maybe_free_model_hooks()
        return latents

    def _preview(self, preview: Callable[[torch.Tensor], bytes], clean: torch.Tensor | None) -> bytes | None:
        """A preview of the clean estimate, unless the last one was only just made."""
        now = time.perf_counter()
        if clean is None or now < self._preview_due:
            return None
        self._preview_due = now + self._preview_interval_s
        return preview(clean)

    def decoding(self, done: int, count: int) -> None:
        """Report that `done` of `count` decodes are over, unless the run was cancelled."""
        self.stop_if_cancelled()
        fraction = DENOISED_FRACTION + (DECODED_FRACTION - DENOISED_FRACTION) * done / count
        self._report(Progress(stage=Stage.DECODING, fraction=fraction, step=done, steps=count))

    def encoding(self, share: float) -> None:
        """Report that `share` in [0, 1] of the writing is over."""
        self._report(Progress(stage=Stage.ENCODING, fraction=DECODED_FRACTION + (1.0 - DECODED_FRACTION) * share))

    def write_pictures(self, pictures: Sequence[Image.Image]) -> tuple[Artifact, ...]:
        """Write the PNG files side by side: Pillow compresses outside Python's lock."""
        self.stop_if_cancelled()
        self.encoding(0.0)
        paths = [self.request.scratch / f"{i:03}.png" for i in range(len(pictures))]
        with ThreadPoolExecutor(max_workers=len(pictures)) as threads:
            list(threads.map(_write_png, pictures, paths))
        self.clock("encoding_s")
        self.encoding(1.0)
        return tuple(
            Artifact(path=path, index=i, mime_type="image/png", width=picture.width, height=picture.height, seed=seed)
            for i, (path, picture, seed) in enumerate(zip(paths, pictures, self.request.seeds, strict=True))
        )

    def stop_if_cancelled(self) -> None:
        """Raise Cancelled after a cancel."""
        if self.is_cancelled():
            raise Cancelled("The job was cancelled.")

    def clock(self, stage: str) -> None:
        """End `stage`: the time since the last one goes to it."""
        now = time.perf_counter()
        self.timings_s[stage] = now - self._began
        self._began = now


def _among(
    preview: Callable[[torch.Tensor], bytes], made: Sequence[torch.Tensor], left: int
) -> Callable[[torch.Tensor], bytes]:
    """Return what draws an estimate between the latents that are `made` and `left` blank ones."""
    if not made and not left:
        return preview
    return lambda clean: preview(torch.cat([*made, clean, clean.new_zeros((left, *clean.shape[1:]))]))


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return one generator a picture, on the CPU: the same noise in any batch and on any device."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def _write_png(picture: Image.Image, path: Path) -> None:
    picture.save(path, "PNG", compress_level=PNG_COMPRESSION)
