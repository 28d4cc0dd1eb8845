"""Pictures by Stable Diffusion XL (arXiv:2307.01952): from text, from a picture, and inside a mask."""

from __future__ import annotations

import importlib.metadata
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelines.acceleration import load_few_step_unet
from pipelines.checkpoints import Checkpoint, resolve
from pipelines.contract import (
    Artifact,
    Cancelled,
    GenerationRequest,
    GenerationResult,
    IsCancelled,
    Pipeline,
    Progress,
    ReportProgress,
    Stage,
)
from pipelines.latents import decode, require_finite
from pipelines.loading import LoadOptions, choose_device, choose_dtype, load_sdxl
from pipelines.memory import free_memory, out_of_memory_as_advice
from pipelines.previews import LatentToRgb, latent_to_rgb, sprite
from pipelines.prompts import PromptEmbeddings, PromptEncoder
from pipelines.sdxl_job import SdxlJob, plan_job

logger = logging.getLogger(__name__)

# The share of a run's progress that is over when each stage begins.
LOADED_FRACTION = 0.05
DENOISED_FRACTION = 0.90
DECODED_FRACTION = 0.98
PNG_COMPRESSION = 1
PREVIEW_INTERVAL_S = 0.25
"""Previews that follow each other faster are not made: each costs about 10 ms, as much as a fifth of a small step."""
_LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True, kw_only=True)
class SdxlOptions:
    """How to find and load the checkpoint; see `pipelines.checkpoints.resolve` and `pipelines.loading.LoadOptions`."""

    checkpoint: str | None = None
    few_step: str | None = None
    cache_dir: str | None = None
    device: str | None = None
    dtype: str | None = None
    offline: bool = False
    single_file_config: str | None = None
    preview_interval_s: float = PREVIEW_INTERVAL_S


def create(**options: Any) -> Pipeline:
    """Return an SDXL pipeline that has loaded nothing yet. `options` are the fields of SdxlOptions."""
    return SdxlPipeline(SdxlOptions(**options))


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    checkpoint: Checkpoint
    options: LoadOptions
    pipe: Any
    few_step_unet: Any | None
    prompts: PromptEncoder
    latent_to_rgb: LatentToRgb


class SdxlPipeline:
    """Implements pipelines.contract.Pipeline."""

    def __init__(self, options: SdxlOptions) -> None:
        self._options = options
        self._loaded: _Loaded | None = None
        self._loading_s = 0.0

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""
        if self._loaded is not None:
            return
        began = time.perf_counter()
        report(Progress(stage=Stage.LOADING, fraction=0.0))
        checkpoint = resolve("sdxl", self._options.checkpoint, few_step=self._options.few_step)
        device = choose_device(self._options.device)
        options = LoadOptions(
            device=device,
            dtype=choose_dtype(device.type, self._options.dtype),
            cache_dir=self._options.cache_dir,
            offline=self._options.offline,
            single_file_config=self._options.single_file_config,
        )
        with out_of_memory_as_advice(f"loading {checkpoint.name}"):
            self._loaded = _load(checkpoint, options)
        self._loading_s = time.perf_counter() - began
        logger.info("loaded %s on %s as %s in %.1f s", checkpoint.name, device, options.dtype, self._loading_s)
        report(Progress(stage=Stage.LOADING, fraction=LOADED_FRACTION))

    def generate(
        self, request: GenerationRequest, report: ReportProgress, is_cancelled: IsCancelled
    ) -> GenerationResult:
        """Make one PNG a seed, 000.png and on. Raises a PipelineError; Cancelled at the next step after a cancel."""
        # 1. Bring the checkpoint into memory
        self.load(report)
        assert self._loaded is not None
        loaded, loading_s, self._loading_s = self._loaded, self._loading_s, 0.0
        with out_of_memory_as_advice(f"job {request.job_id}"), torch.inference_mode():
            run = _Run(request, report, is_cancelled, self._options.preview_interval_s)
            # 2. Check the request; choose the pipeline, scheduler and UNet; open the reference pictures
            job = plan_job(loaded.pipe, loaded.checkpoint, request, loaded.few_step_unet)
            # 3. Encode the prompts, or find them encoded
            hits = loaded.prompts.hits
            embeddings = loaded.prompts.encode(request.prompt, request.negative_prompt, guided=request.guidance > 1)
            hits = loaded.prompts.hits - hits
            # 4. Denoise all pictures as one batch
            latents = run.denoise(job, embeddings, loaded.latent_to_rgb)
            # 5. Decode one by one: the decoder needs more memory for a picture than all of denoising
            pictures = [job.finish(picture) for picture in run.decode(loaded.pipe.vae, latents)]
        # 6. Write the files
        artifacts = run.write(pictures)
        timings_s = {"loading_s": loading_s, **run.timings_s}
        receipt = _receipt(loaded, request, job, embeddings) | {"prompt_cache_hits": hits}
        return GenerationResult(artifacts=artifacts, timings_s=timings_s, receipt=receipt)

    def release(self) -> None:
        """Give back every byte of weights and caches. `load` may be called again."""
        self._loaded = None
        free_memory()


class _Run:
    """The stages of one job that take time: each reports its progress, heeds a cancel and is timed."""

    def __init__(
        self,
        request: GenerationRequest,
        report: ReportProgress,
        is_cancelled: IsCancelled,
        preview_interval_s: float,
    ) -> None:
        self._request = request
        self._report = report
        self._is_cancelled = is_cancelled
        self._preview_interval_s = preview_interval_s
        self._preview_due = 0.0
        self._began = time.perf_counter()
        self.timings_s: dict[str, float] = {}

    def denoise(self, job: SdxlJob, embeddings: PromptEmbeddings, to_rgb: LatentToRgb) -> torch.Tensor:
        """Return clean latents [pictures, channels, height, width]."""

        def after_step(pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            steps = int(pipe.num_timesteps)
            self._stop_if_cancelled()
            share = (index + 1) / steps
            self._report(
                Progress(
                    stage=Stage.DENOISING,
                    fraction=LOADED_FRACTION + (DENOISED_FRACTION - LOADED_FRACTION) * share,
                    step=index + 1,
                    steps=steps,
                    preview=self._preview(to_rgb, job.scheduler.clean_sample),
                )
            )
            return tensors

        self._stop_if_cancelled()
        self._report(Progress(stage=Stage.DENOISING, fraction=LOADED_FRACTION))
        try:
            latents: torch.Tensor = job.pipe(
                **job.arguments,
                **embeddings.as_arguments(),
                guidance_scale=self._request.guidance,
                num_images_per_prompt=len(self._request.seeds),
                # One generator a picture, on the CPU: the same noise in any batch and on any device.
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in self._request.seeds],
                output_type="latent",
                callback_on_step_end=after_step,
            ).images
        finally:
            job.pipe.maybe_free_model_hooks()
        require_finite(latents, "denoising")
        self._clock("denoising_s")
        return latents

    def _preview(self, to_rgb: LatentToRgb, clean: torch.Tensor | None) -> bytes | None:
        """A preview of the clean estimate, unless the last one was only just made."""
        now = time.perf_counter()
        if clean is None or now < self._preview_due:
            return None
        self._preview_due = now + self._preview_interval_s
        return sprite(to_rgb.tiles(clean))

    def decode(self, vae: Any, latents: torch.Tensor) -> list[NDArray[np.uint8]]:
        """Return one picture [height, width, 3] for each latent."""
        pictures = []
        for i, latent in enumerate(latents):
            self._stop_if_cancelled()
            fraction = DENOISED_FRACTION + (DECODED_FRACTION - DENOISED_FRACTION) * i / len(latents)
            self._report(Progress(stage=Stage.DECODING, fraction=fraction, step=i, steps=len(latents)))
            pictures.append(decode(vae, latent))
        self._clock("decoding_s")
        return pictures

    def write(self, pictures: list[Image.Image]) -> tuple[Artifact, ...]:
        """Write the PNG files side by side: Pillow compresses outside Python's lock."""
        self._stop_if_cancelled()
        self._report(Progress(stage=Stage.ENCODING, fraction=DECODED_FRACTION))
        paths = [self._request.scratch / f"{i:03}.png" for i in range(len(pictures))]
        with ThreadPoolExecutor(max_workers=len(pictures)) as threads:
            list(threads.map(_write_png, pictures, paths))
        self._clock("encoding_s")
        self._report(Progress(stage=Stage.ENCODING, fraction=1.0))
        return tuple(
            Artifact(path=path, index=i, mime_type="image/png", width=picture.width, height=picture.height, seed=seed)
            for i, (path, picture, seed) in enumerate(zip(paths, pictures, self._request.seeds, strict=True))
        )

    def _stop_if_cancelled(self) -> None:
        if self._is_cancelled():
            raise Cancelled("The job was cancelled.")

    def _clock(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings_s[stage] = now - self._began
        self._began = now


def _load(checkpoint: Checkpoint, options: LoadOptions) -> _Loaded:
    pipe = load_sdxl(checkpoint, options)
    few_step_unet = None
    if checkpoint.few_step:
        few_step_unet = load_few_step_unet(checkpoint.few_step, pipe.unet, options.dtype)
        few_step_unet.to(options.device, memory_format=torch.channels_last).eval().requires_grad_(False)
    with torch.inference_mode():
        to_rgb = latent_to_rgb(pipe.vae)
    return _Loaded(
        checkpoint=checkpoint,
        options=options,
        pipe=pipe,
        few_step_unet=few_step_unet,
        prompts=PromptEncoder(pipe, checkpoint.fingerprint),
        latent_to_rgb=to_rgb,
    )


def _write_png(picture: Image.Image, path: Path) -> None:
    picture.save(path, "PNG", compress_level=PNG_COMPRESSION)


def _receipt(loaded: _Loaded, request: GenerationRequest, job: SdxlJob, embeddings: PromptEmbeddings) -> dict[str, Any]:
    device = loaded.options.device
    return {
        "checkpoint": loaded.checkpoint.name,
        "fingerprint": loaded.checkpoint.fingerprint,
        "few_step_weights": Path(loaded.checkpoint.few_step).name
        if job.few_step and loaded.checkpoint.few_step
        else None,
        "mode": job.mode,
        "scheduler": job.scheduler_name,
        "steps": request.steps,
        "guidance": request.guidance,
        "strength": job.strength,
        "seeds": list(request.seeds),
        "prompt_chunks": embeddings.positive.chunks,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": str(loaded.options.dtype).removeprefix("torch."),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
