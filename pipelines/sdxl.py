"""Pictures by Stable Diffusion XL (arXiv:2307.01952): from text, from a picture, and inside a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.acceleration import load_few_step_unet
from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest, GenerationResult, IsCancelled, Pipeline, ReportProgress
from pipelines.holding import Holder
from pipelines.latents import decode
from pipelines.loading import LoadOptions, PipelineOptions, choose_dtype
from pipelines.memory import out_of_memory_as_advice
from pipelines.previews import LatentToRgb, latent_to_rgb, sprite
from pipelines.prompts import PromptEmbeddings, PromptEncoder
from pipelines.receipts import receipt_of
from pipelines.runs import Denoising, Run, generators
from pipelines.sdxl_job import SdxlJob, plan_job
from pipelines.sdxl_loading import load_sdxl


def create(**options: Any) -> Pipeline:
    """Return an SDXL pipeline that has loaded nothing yet. `options` are the fields of PipelineOptions."""
    return SdxlPipeline(PipelineOptions(**options))


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
        loaded = self._holder.load(report)
        loading_s = self._holder.take_loading_s()
        with out_of_memory_as_advice(f"job {request.job_id}"), torch.inference_mode():
            run = Run(request, report, is_cancelled, self._options.preview_interval_s)
            # 2. Check the request; choose the pipeline, scheduler and UNet; open the reference pictures
            job = plan_job(loaded.pipe, loaded.checkpoint, request, loaded.few_step_unet)
            # 3. Encode the prompts, or find them encoded
            hits = loaded.prompts.hits
            embeddings = loaded.prompts.encode(request.prompt, request.negative_prompt, guided=request.guidance > 1)
            hits = loaded.prompts.hits - hits
            # 4. Denoise all pictures as one batch
            latents = run.denoise(
                [_denoising(job, request)],
                embeddings.as_arguments(),
                lambda clean: sprite(loaded.latent_to_rgb.tiles(clean)),
            )
            # 5. Decode one by one: the decoder needs more memory for a picture than all of denoising
            pictures = [job.finish(picture) for picture in _decode(run, loaded.pipe.vae, latents)]
        # 6. Write the files
        artifacts = run.write_pictures(pictures)
        timings_s = {"loading_s": loading_s, **run.timings_s}
        receipt = _receipt(loaded, request, job, embeddings) | {"prompt_cache_hits": hits}
        return GenerationResult(artifacts=artifacts, timings_s=timings_s, receipt=receipt)

    def release(self) -> None:
        """Give back every byte of weights and caches. `load` may be called again."""
        self._holder.release()


def _read(checkpoint: Checkpoint, options: LoadOptions) -> _Loaded:
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


def _denoising(job: SdxlJob, request: GenerationRequest) -> Denoising:
    common = {
        "guidance_scale": request.guidance,
        "num_images_per_prompt": len(request.seeds),
        "generator": generators(request.seeds),
    }
    return Denoising(pipe=job.pipe, scheduler=job.scheduler, arguments=job.arguments | common)


def _decode(run: Run, vae: Any, latents: torch.Tensor) -> list[NDArray[np.uint8]]:
    pictures = []
    for i, latent in enumerate(latents):
        run.decoding(i, len(latents))
        pictures.append(decode(vae, latent))
    run.clock("decoding_s")
    return pictures


def _receipt(loaded: _Loaded, request: GenerationRequest, job: SdxlJob, embeddings: PromptEmbeddings) -> dict[str, Any]:
    return receipt_of(loaded.checkpoint, loaded.options, request, few_step=job.few_step) | {
        "mode": job.mode,
        "scheduler": job.scheduler_name,
        "strength": job.strength,
        "prompt_chunks": embeddings.positive.chunks,
    }
