"""Pictures by Stable Diffusion XL (arXiv:2307.01952): from text, from a picture, and inside a mask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest, GenerationResult, IsCancelled, Occupied, Pipeline, ReportProgress
from pipelines.footprint import SDXL_TILE_PX
from pipelines.holding import Holder
from pipelines.latents import decode
from pipelines.loading import LoadOptions, PipelineOptions, choose_dtype
from pipelines.memory import out_of_memory_as_advice
from pipelines.previews import LatentToRgb, latent_to_rgb, sprite
from pipelines.prompts import PromptEmbeddings, PromptEncoder
from pipelines.receipts import receipt_of
from pipelines.rereading import parts_of
from pipelines.residency import Part, Parts
from pipelines.runs import Denoising, Run, generators
from pipelines.sdxl_job import SdxlJob, plan_job
from pipelines.sdxl_loading import PARTS, load_few_step_unet, load_sdxl

_ENCODERS, _UNET, _FEW_STEP_UNET, _VAE = "text_encoders", "unet", "few_step_unet", "vae"


def create(**options: Any) -> Pipeline:
    """Return an SDXL pipeline that has loaded nothing yet. `options` are the fields of PipelineOptions."""
    return SdxlPipeline(PipelineOptions(**options))


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    checkpoint: Checkpoint
    options: LoadOptions
    pipe: Any
    few_step_unet: Any | None
    parts: Parts
    prompts: PromptEncoder
    latent_to_rgb: LatentToRgb


class SdxlPipeline:
    """Implements pipelines.contract.Pipeline."""

    def __init__(self, options: PipelineOptions) -> None:
        self._options = options
        self._holder = Holder("sdxl", options, choose=choose_dtype, read=_read)

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""
        self._holder.load(report)

    def generate(
        self, request: GenerationRequest, report: ReportProgress, is_cancelled: IsCancelled
    ) -> GenerationResult:
        """Make one PNG a seed, 000.png and on. Raises a PipelineError; Cancelled at the next step after a cancel."""
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
            # 2. Check the request; choose the pipeline, scheduler and UNet; open the reference pictures
            _tile(loaded.pipe.vae, plan.tiled)
            if request.image is not None:
                parts.bring(_VAE)
            job = plan_job(loaded.pipe, loaded.checkpoint, request, loaded.few_step_unet, loaded.options)
            # 3. Encode the prompts, or find them encoded
            hits = loaded.prompts.hits
            embeddings = loaded.prompts.encode(request.prompt, request.negative_prompt, guided=request.guidance > 1)
            hits = loaded.prompts.hits - hits
            parts.passed(_ENCODERS)
            # 4. Denoise all pictures as one batch, or as many at once as the plan allows
            parts.bring(_FEW_STEP_UNET if job.few_step else _UNET)
            latents = run.denoise(
                [_denoising(job, request, seeds) for seeds in _batches(request.seeds, plan.sub_batch)],
                embeddings.as_arguments(),
                lambda clean: sprite(loaded.latent_to_rgb.tiles(clean)),
            )
            # 5. Decode one by one: the decoder needs more memory for a picture than all of denoising
            parts.bring(_VAE)
            pictures = [job.finish(picture) for picture in _decode(run, loaded.pipe.vae, latents)]
        # 6. Write the files
        artifacts = run.write_pictures(pictures)
        timings_s = {"loading_s": loading_s, **run.timings_s}
        receipt = _receipt(loaded, request, job, embeddings) | {"prompt_cache_hits": hits}
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
    pipe = load_sdxl(checkpoint, options)
    with torch.inference_mode():
        to_rgb = latent_to_rgb(pipe.vae)
    few_step_unet = load_few_step_unet(checkpoint, options, pipe)
    named = parts_of(pipe, PARTS, checkpoint, options, load_sdxl)
    if few_step_unet is not None:

        def read() -> list[Any]:
            return [load_few_step_unet(checkpoint, replace(options, on_part=None), pipe)]

        named[_FEW_STEP_UNET] = Part(modules=(few_step_unet,), read=read)
    parts = Parts(options.device, named, waiting=options.device.type != "cpu")
    return _Loaded(
        checkpoint=checkpoint,
        options=options,
        pipe=pipe,
        few_step_unet=few_step_unet,
        parts=parts,
        prompts=PromptEncoder(pipe, checkpoint.fingerprint, lambda: parts.bring(_ENCODERS)),
        latent_to_rgb=to_rgb,
    )


def _tile(vae: Any, tiled: bool) -> None:
    """Have `vae` work in tiles or not: its own tile, as published, is a whole picture of 1024 pixels."""
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    vae.tile_sample_min_size, vae.tile_latent_min_size = SDXL_TILE_PX, SDXL_TILE_PX // scale
    vae.use_tiling = tiled


def _batches(seeds: tuple[int, ...], largest: int | None) -> list[tuple[int, ...]]:
    size = largest or len(seeds)
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]


def _denoising(job: SdxlJob, request: GenerationRequest, seeds: Sequence[int]) -> Denoising:
    common = {
        "guidance_scale": request.guidance,
        "num_images_per_prompt": len(seeds),
        "generator": generators(seeds),
    }
    return Denoising(
        pipe=job.pipe,
        scheduler=job.scheduler,
        arguments=job.arguments | common,
        pictures=len(seeds),
        on_step=job.on_step,
    )


def _decode(run: Run, vae: Any, latents: torch.Tensor) -> list[NDArray[np.uint8]]:
    pictures = []
    for i, latent in enumerate(latents):
        run.decoding(i, len(latents))
        pictures.append(decode(vae, latent))
    run.clock("decoding_s")
    return pictures


def _receipt(loaded: _Loaded, request: GenerationRequest, job: SdxlJob, embeddings: PromptEmbeddings) -> dict[str, Any]:
    facts = receipt_of(loaded.checkpoint, loaded.options, request, few_step=job.few_step) | job.acceleration
    return facts | {
        "mode": job.mode,
        "scheduler": job.scheduler_name,
        "strength": job.strength,
        "prompt_chunks": embeddings.positive.chunks,
        "plan": asdict(request.plan),
    }
