"""Films and pictures by WAN 2.1 (arXiv:2503.20314): from text, from a picture, and from a film."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanVACEPipeline
from numpy.typing import NDArray
from PIL import Image

from pipelines.checkpoint_roles import TEXT
from pipelines.checkpoints import Checkpoint
from pipelines.contract import (
    Artifact,
    GenerationRequest,
    GenerationResult,
    IsCancelled,
    Occupied,
    Pipeline,
    ReportProgress,
)
from pipelines.films import Film, write_film
from pipelines.holding import Holder
from pipelines.latents import decode
from pipelines.loading import LoadOptions, PipelineOptions, choose_wide_dtype
from pipelines.memory import out_of_memory_as_advice
from pipelines.previews import LatentToRgb, sprite
from pipelines.receipts import receipt_of
from pipelines.rereading import parts_of
from pipelines.residency import Part, Parts
from pipelines.runs import Run
from pipelines.wan_acceleration import film_cache, load_few_step_transformer
from pipelines.wan_job import WanJob, plan_job
from pipelines.wan_loading import PARTS, described, load_wan
from pipelines.wan_previews import film_preview, wan_latent_to_rgb
from pipelines.wan_prompts import WanPromptEncoder
from pipelines.wan_vae import chunks_to_decode, tile, watched

MAX_FILM_BYTES = 100_000_000

_ENCODER, _IMAGE_ENCODER, _VAE = "text_encoder", "image_encoder", "vae"
_TRANSFORMER, _FEW_STEP_TRANSFORMER = "transformer", "few_step_transformer"


def create(**options: Any) -> Pipeline:
    """Return a WAN pipeline that has loaded nothing yet. `options` are the fields of PipelineOptions."""
    return WanFilmPipeline(PipelineOptions(**options))


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    checkpoint: Checkpoint
    options: LoadOptions
    pipe: Any
    few_step_transformer: Any | None
    parts: Parts
    prompts: WanPromptEncoder
    latent_to_rgb: LatentToRgb


class WanFilmPipeline:
    """Implements pipelines.contract.Pipeline."""

    def __init__(self, options: PipelineOptions) -> None:
        self._options = options
        self._holder = Holder("wan", options, choose=choose_wide_dtype, read=_read)

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""
        self._holder.load(report)

    def generate(
        self, request: GenerationRequest, report: ReportProgress, is_cancelled: IsCancelled
    ) -> GenerationResult:
        """Make one film, 000.mp4, or one PNG a seed, 000.png and on.

        Raises a PipelineError; Cancelled at the next step, chunk of the VAE or encoded frame after a cancel.
        """
        # 1. Bring the checkpoint into memory
        loaded = self._holder.begin(report)
        loading_s = self._holder.take_loading_s()
        plan, parts = request.plan, loaded.parts
        with (
            out_of_memory_as_advice(f"job {request.job_id}"),
            torch.inference_mode(),
            parts.following(plan.residency),
        ):
            run = Run(request, report, is_cancelled, self._options.preview_interval_s)
            # 2. Check the request; choose the pipeline, scheduler and transformer; open what it starts from
            tile(loaded.pipe.vae, plan.tiled)
            job = plan_job(loaded.pipe, loaded.checkpoint, request, loaded.few_step_transformer, loaded.options)
            # 3. Encode the prompts, or find them encoded
            hits, calls = loaded.prompts.hits, loaded.prompts.misses
            prompts = loaded.prompts.encode(request.prompt, request.negative_prompt, guided=request.guidance > 1)
            hits, calls = loaded.prompts.hits - hits, loaded.prompts.misses - calls
            parts.passed(_ENCODER)
            # 4. Denoise
            parts.bring(*_denoising_parts(loaded, job))
            latents = _denoise(run, loaded, job, prompts.as_arguments(job.batch))
            parts.passed(_IMAGE_ENCODER)
            # 5. Decode, latent frame by latent frame
            parts.bring(_VAE)
            frames = _decode(run, loaded.pipe.vae, latents)
        # 6. Write the files
        film: Film | None = None
        if request.fps is None:
            artifacts = run.write_pictures([Image.fromarray(picture[0]) for picture in frames])
        else:
            artifacts, film = _write_film(run, frames[0], request.fps)
        receipt = _receipt(loaded, request, job, film) | {
            "prompt_cache_hits": hits,
            "encoder_calls": calls,
            "prompt_cache_hits_total": loaded.prompts.hits,
            "encoder_calls_total": loaded.prompts.misses,
        }
        timings_s = {"loading_s": loading_s, **run.timings_s}
        return GenerationResult(artifacts=artifacts, timings_s=timings_s, receipt=receipt)

    def give_way(self, parts: Collection[str]) -> None:
        """Take these parts off the device. Each comes back when a run needs it."""
        self._holder.give_way(parts)

    def occupied(self) -> Occupied:
        """Return what this process occupies on its device."""
        return self._holder.occupied()

    def release(self) -> None:
        """Give back every byte of weights and caches. `load` may be called again."""
        self._holder.release()


def _read(checkpoint: Checkpoint, options: LoadOptions) -> _Loaded:
    pipe = load_wan(checkpoint, options)
    distilled = load_few_step_transformer(checkpoint, options, pipe)
    with torch.inference_mode():
        to_rgb = wan_latent_to_rgb(pipe.vae)
    named = parts_of(pipe, PARTS, checkpoint, options, load_wan)
    if distilled is not None:
        named[_FEW_STEP_TRANSFORMER] = _few_step_part(distilled, pipe, named[_TRANSFORMER], checkpoint, options)
    parts = Parts(options.device, named, waiting=options.device.type != "cpu")
    return _Loaded(
        checkpoint=described(checkpoint, pipe),
        options=options,
        pipe=pipe,
        few_step_transformer=distilled,
        parts=parts,
        prompts=WanPromptEncoder(pipe, checkpoint.fingerprint, options.device, lambda: parts.bring(_ENCODER)),
        latent_to_rgb=to_rgb,
    )


def _few_step_part(distilled: Any, pipe: Any, base: Part, checkpoint: Checkpoint, options: LoadOptions) -> Part:
    """The distilled transformer, which may be a LoRA on the weights of `base`: they are merged on the host again, where
    they were merged at first, to the same bit."""

    def read() -> list[Any]:
        on_host = type(pipe)(**(pipe.components | {"transformer": base.read()[0]}))
        return [load_few_step_transformer(checkpoint, replace(options, on_part=None), on_host)]

    return Part(modules=(distilled,), read=read)


def _denoising_parts(loaded: _Loaded, job: WanJob) -> list[str]:
    """Return the parts that compute inside the pipeline's call."""
    names = [_FEW_STEP_TRANSFORMER if job.few_step else _TRANSFORMER]
    if job.few_step and len(job.transformers) > 1:
        # WAN 2.2's second transformer is in one part with the first.
        names.append(_TRANSFORMER)
    if job.mode != TEXT or isinstance(loaded.pipe, WanVACEPipeline):
        # What a film starts from is encoded there; VACE encodes an empty film where it starts from text alone.
        names += [_VAE, _IMAGE_ENCODER]
    return names


def _denoise(run: Run, loaded: _Loaded, job: WanJob, prompts: dict[str, Any]) -> torch.Tensor:
    """Return clean latents [pictures or 1, channels, latent frames, height, width]."""
    request, to_rgb = run.request, loaded.latent_to_rgb

    def preview(clean: torch.Tensor) -> bytes:
        if request.fps is None:
            return sprite(to_rgb.tiles(clean[:, :, 0]))
        return film_preview(to_rgb, clean[0], request.frames / request.fps)

    # What a film starts from goes through the VAE inside the call.
    with (
        watched(loaded.pipe.vae, "encoder", run.stop_if_cancelled),
        film_cache(job.transformers, job.cache),
    ):
        return run.denoise(job.calls, prompts, preview)


def _decode(run: Run, vae: Any, latents: torch.Tensor) -> list[NDArray[np.uint8]]:
    """Return one film [frames, height, width, 3] for each latent."""
    count, done = len(latents) * chunks_to_decode(vae, latents[0]), 0

    def before_chunk() -> None:
        nonlocal done
        run.decoding(done, count)
        done += 1

    with watched(vae, "decoder", before_chunk):
        films = [decode(vae, latent) for latent in latents]
    run.clock("decoding_s")
    return films


def _write_film(run: Run, frames: NDArray[np.uint8], fps: float) -> tuple[tuple[Artifact, ...], Film]:
    request = run.request
    run.stop_if_cancelled()
    run.encoding(0.0)
    film = write_film(
        frames,
        request.scratch / "000.mp4",
        fps,
        max_bytes=request.max_bytes or MAX_FILM_BYTES,
        report=run.encoding,
        is_cancelled=run.is_cancelled,
    )
    run.clock("encoding_s")
    artifact = Artifact(
        path=Path(film.path),
        index=0,
        mime_type="video/mp4",
        width=film.width,
        height=film.height,
        seed=request.seeds[0],
        frames=film.frames,
        fps=film.fps,
    )
    return (artifact,), film


def _receipt(loaded: _Loaded, request: GenerationRequest, job: WanJob, film: Film | None) -> dict[str, Any]:
    facts = receipt_of(loaded.checkpoint, loaded.options, request, few_step=job.few_step) | job.acceleration
    return facts | {
        "mode": job.mode,
        "scheduler": job.scheduler_name,
        "flow_shift": job.flow_shift,
        "strength": job.strength,
        "frames": request.frames,
        "fps": request.fps,
        "guided_share": job.guided_share,
        "encoding_passes": film.passes if film else None,
        "plan": asdict(request.plan),
    }
