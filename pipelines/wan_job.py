"""What one WAN request turns into: calls of a diffusers pipeline over the shared parts, each with its scheduler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from diffusers import WanImageToVideoPipeline, WanPipeline, WanVACEPipeline, WanVideoToVideoPipeline
from PIL import Image

from pipelines.acceleration import Cache, accelerate
from pipelines.checkpoint_roles import ENVIRONMENT_VARIABLE, IMAGE, TEXT, VIDEO
from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.films import read_film
from pipelines.loading import LoadOptions, device_kind
from pipelines.recipes import DEFAULT_STRENGTH, WAN_CACHE_THRESHOLDS, recipe
from pipelines.references import open_picture
from pipelines.request_checks import check_request, steps_at
from pipelines.runs import Denoising, OnStep, generators
from pipelines.switches import say_once, switch, switched
from pipelines.wan_acceleration import SEA_THRESHOLD, FilmCache, build_flow_scheduler, flow_shift_of

_CAN_DO = {
    TEXT: "a text-to-video checkpoint such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    IMAGE: "an image-to-video or VACE checkpoint such as Wan-AI/Wan2.1-VACE-1.3B-diffusers",
    VIDEO: "a text-to-video or VACE checkpoint such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
}
_GREY = (128, 128, 128)
"""What VACE takes for a frame that is to be made (arXiv:2503.07598, section 3.2)."""


@dataclass(frozen=True, kw_only=True)
class WanJob:
    """One job, ready to denoise: `calls` one after the other, each of `batch` pictures or of one film.

    `mode` is text, image or video; `strength` is None where nothing is redrawn. `transformers` are those at work,
    `cache` that of `film_cache`. `few_step` says that the distilled transformer draws. `acceleration` says for the
    receipt what computes.
    """

    mode: str
    calls: tuple[Denoising, ...]
    batch: int
    transformers: tuple[Any, ...]
    scheduler_name: str
    flow_shift: float
    acceleration: dict[str, Any]
    strength: float | None = None
    few_step: bool = False
    guided_share: float = 1.0
    cache: FilmCache | None = None


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What the work starts from: `frames` are pictures of the request's size, none of them for text."""

    mode: str
    strength: float | None = None
    frames: tuple[Image.Image, ...] = ()


def plan_job(
    base: Any, checkpoint: Checkpoint, request: GenerationRequest, distilled: Any | None, options: LoadOptions
) -> WanJob:
    """Return the job of `request` on the parts of the pipeline `base`, loaded by `options`, or on the `distilled`
    transformer. Raises InvalidRequest."""
    check_request(checkpoint, request)
    _check_frames(checkpoint, request)
    start = _start(base, checkpoint, request)
    wanted = accelerate("wan", request.quality, device_kind(options.device.type), options.switches)
    few_step = distilled is not None and wanted.few_step
    transformer = distilled if few_step else base.transformer
    advised = recipe(checkpoint, request.quality)
    scheduler_name = request.scheduler or advised.scheduler
    flow_shift = advised.flow_shift or flow_shift_of(base.scheduler.config)
    pipeline = _pipeline_class(base, start)
    transformers = tuple(each for each in (transformer, getattr(base, "transformer_2", None)) if each is not None)
    for each in transformers:
        switch(each, wanted, options)
    recommended = options.switches.cache == "auto"
    threshold = advised.cache_threshold if recommended else WAN_CACHE_THRESHOLDS[request.quality]
    cache = _cache(pipeline, request, wanted.cache, threshold)

    def call(seeds: Sequence[int]) -> Denoising:
        scheduler = build_flow_scheduler(scheduler_name, base.scheduler.config, flow_shift)
        common = {
            "num_inference_steps": steps_at(request.steps, start.strength),
            "guidance_scale": request.guidance,
            "width": request.width,
            "height": request.height,
        }
        # VACE takes one generator, and so makes one at a time.
        drawn = generators(seeds)
        generator = drawn[0] if pipeline is WanVACEPipeline else drawn
        return Denoising(
            pipe=_assemble(pipeline, base, scheduler, transformer),
            scheduler=scheduler,
            arguments=common | {"generator": generator} | _inputs(pipeline, request, start),
            on_step=_end_of_guidance(advised.guided_share),
        )

    batches = [(seed,) for seed in request.seeds] if pipeline is WanVACEPipeline else [request.seeds]
    return WanJob(
        mode=start.mode,
        calls=tuple(call(seeds) for seeds in batches),
        batch=len(batches[0]),
        transformers=transformers,
        scheduler_name=scheduler_name,
        flow_shift=flow_shift,
        acceleration=switched(transformer) | {"cache": asdict(cache) if cache else None},
        strength=start.strength,
        few_step=few_step,
        guided_share=advised.guided_share,
        cache=cache,
    )


def _check_frames(checkpoint: Checkpoint, request: GenerationRequest) -> None:
    multiple = checkpoint.frame_multiple
    if request.fps is None:
        if request.frames != 1:
            raise InvalidRequest("A picture has one frame. Say how many frames a second for a film.")
    elif request.fps <= 0:
        raise InvalidRequest("A film needs more than 0 frames a second.")
    elif len(request.seeds) != 1:
        raise InvalidRequest("Films are made one at a time. Ask for one.")
    elif request.frames <= multiple or request.frames % multiple != 1 % multiple:
        raise InvalidRequest(
            f"A film of {checkpoint.name} has {multiple} x n + 1 frames, such as {4 * multiple + 1}, "
            f"not {request.frames}."
        )
    if request.mask is not None:
        raise InvalidRequest("WAN does not repaint inside a mask. Choose an SDXL job type, or leave the mask out.")
    if request.image is not None and request.video is not None:
        raise InvalidRequest("Start from a picture or from a film, not from both.")
    if request.video is not None and request.fps is None:
        raise InvalidRequest("A picture can start from a picture, not from a film.")


def _start(base: Any, checkpoint: Checkpoint, request: GenerationRequest) -> _Start:
    """Decide what the work starts from. Redrawing at strength 1 is work from text."""
    size = request.width, request.height
    redraws = request.video is not None or (request.image is not None and request.fps is None)
    if redraws and request.strength != 1:
        _require(checkpoint, VIDEO, "start from a film" if request.video else "start a picture from a picture")
        strength = request.strength or DEFAULT_STRENGTH
        if request.video is not None:
            film = read_film(request.video, width=size[0], height=size[1], frames=request.frames)
            return _Start(mode=VIDEO, strength=strength, frames=tuple(Image.fromarray(frame) for frame in film))
        assert request.image is not None
        return _Start(mode=IMAGE, strength=strength, frames=(open_picture(request.image, *size),))
    if request.image is not None and not redraws:
        _require(checkpoint, IMAGE, "start a film from a picture")
        return _Start(mode=IMAGE, frames=(open_picture(request.image, *size),))
    _require(checkpoint, TEXT, "work from text alone: it needs a picture to start a film from")
    return _Start(mode=TEXT)


def _require(checkpoint: Checkpoint, what: str, doing: str) -> None:
    if what not in checkpoint.starts_from:
        raise InvalidRequest(
            f"The checkpoint {checkpoint.name} cannot {doing}. Set {ENVIRONMENT_VARIABLE['wan']} to {_CAN_DO[what]}."
        )


def _pipeline_class(base: Any, start: _Start) -> Any:
    return WanVideoToVideoPipeline if start.strength is not None and type(base) is WanPipeline else type(base)


def _assemble(pipeline: Any, base: Any, scheduler: Any, transformer: Any) -> Any:
    """Build `pipeline` over the shared parts by its constructor: `from_pipe` would ruin the modules kept in float32.

    Without the text encoder: where that is parked, the pipeline would take its place for the place to run.
    """
    parts = base.components | {
        "scheduler": scheduler,
        "transformer": transformer,
        "text_encoder": None,
        "tokenizer": None,
    }
    settings = {name: base.config[name] for name in ("boundary_ratio", "expand_timesteps") if name in base.config}
    if pipeline is WanVideoToVideoPipeline:
        parts.pop("transformer_2", None)
        settings = {}
    pipe = pipeline(**parts, **settings)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _inputs(pipeline: Any, request: GenerationRequest, start: _Start) -> dict[str, Any]:
    """Return the arguments of `pipeline` that say what it starts from and how long the film is."""
    frames = {"num_frames": request.frames}
    if pipeline is WanVideoToVideoPipeline:
        return {"video": list(start.frames), "strength": start.strength}
    if pipeline is WanImageToVideoPipeline:
        return frames | {"image": start.frames[0]}
    if pipeline is WanPipeline or not start.frames:
        return frames
    if start.strength is not None:
        # VACE does not start from noised frames but is steered by them: the weaker, the more it redraws.
        return frames | {"video": list(start.frames), "conditioning_scale": 1.0 - start.strength}
    size = start.frames[0].size
    rest = request.frames - 1
    return frames | {
        "video": [start.frames[0], *[Image.new("RGB", size, _GREY)] * rest],
        "mask": [Image.new("L", size, 0), *[Image.new("L", size, 255)] * rest],
    }


def _end_of_guidance(share: float) -> OnStep | None:
    """Return what ends classifier-free guidance after `share` of the steps: the rest costs half."""
    if share >= 1:
        return None

    def after_step(pipe: Any, done: int, _tensors: dict[str, Any]) -> None:
        if done >= math.ceil(share * pipe.num_timesteps):
            pipe._guidance_scale = 1.0

    return after_step


def _cache(pipeline: Any, request: GenerationRequest, kind: Cache, threshold: float | None) -> FilmCache | None:
    """Return the cache of a film, or None where there is none or it would go wrong. `threshold` is of the first block.

    It decides for a whole batch, and each picture is to depend on its own seed alone. WanVideoToVideoPipeline does not
    say which of its two calls a step makes, and VACE adds its hints between the blocks that would be skipped.
    """
    if request.fps is None or pipeline in {WanVideoToVideoPipeline, WanVACEPipeline} or threshold is None:
        return None
    if kind == "sea":
        if pipeline is WanPipeline:
            return FilmCache(kind="sea", threshold=SEA_THRESHOLD)
        say_once("SeaCache follows films from text alone: those from a picture use the first-block cache")
    return None if kind == "off" else FilmCache(kind="first_block", threshold=threshold)
