"""Which checkpoints this studio uses, and what follows from them: the job types, their sizes, what workers hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.acceleration import worker_dtype
from pipelines.checkpoint_roles import FULL_MODEL
from pipelines.checkpoints import Checkpoint, resolve
from pipelines.recipes import SCHEDULER_NAMES, WAN_SCHEDULER_NAMES, recipe
from queue_backend.messages import WorkerSpec
from studio.catalog import (
    REWRITING_LANE,
    Catalog,
    Defaults,
    FrameRules,
    JobType,
    PixelRules,
    WanTraits,
    build_catalog,
    sdxl_types,
    wan_types,
)
from studio.pulled_models import find_pulled
from studio.settings import Settings

SDXL_FIRST_ESTIMATES_S = {True: (2.0, 5.0), False: (5.0, 12.0)}
WAN_FIRST_ESTIMATES_S: Mapping[bool, Mapping[tuple[str, str], float]] = {
    True: {("image", "fast"): 0.6, ("image", "high"): 1.0, ("video", "fast"): 3.0, ("video", "high"): 6.0},
    False: {("image", "fast"): 2.0, ("image", "high"): 4.0, ("video", "fast"): 20.0, ("video", "high"): 80.0},
}
REWRITING_FIRST_ESTIMATES_S = {True: 0.5, False: 4.0}
"""Run times (of fast and high, or by kind and quality) assumed until there are runs to learn from, for the demo models
on two CPU cores (True) and the real ones on 48 GB (False)."""
SMALLEST_SHARE, LARGEST_SHARE = 0.5, 2.0
"""Shortest and longest side offered, as shares of the native one: further off, SDXL repeats or loses its subject."""
LARGEST_FILM_SHARE = 1280 / 832
"""Longest side of a film as a share of the native one, and so 720p for a checkpoint of 480p."""
LONGEST_FILM_SHARE = 1.5
"""Most frames of a film as a share of the native number: WAN drifts and repeats itself beyond."""
QUALITIES = ("fast", "high")


def build_catalog_of(settings: Settings) -> Catalog:
    """The job types with the recipes and sizes of the checkpoints in use. Raises ModelMissing."""
    sdxl, wan = (checkpoint_of(settings, lane) for lane in ("sdxl", "wan"))
    checkpoint_of(settings, REWRITING_LANE)  # that it is there is all that the catalog needs of it
    types = (*_sdxl_types(sdxl), *_wan_types(wan))
    return build_catalog(types, {"sdxl": pixel_rules(sdxl), "wan": pixel_rules(wan, LARGEST_FILM_SHARE)})


def lanes_of(settings: Settings) -> dict[str, int]:
    """Every lane with the number of its workers."""
    return {"sdxl": settings.sdxl_workers, "wan": settings.wan_workers, REWRITING_LANE: settings.qwen_workers}


def checkpoint_of(settings: Settings, lane: str) -> Checkpoint:
    """The checkpoint that the settings name for a lane. Raises ModelMissing."""
    few_step = {"sdxl": settings.sdxl_few_step, "wan": settings.wan_few_step}
    return resolve(lane, _model_setting(settings, lane), few_step=few_step.get(lane))


def worker_spec(settings: Settings, lane: str, *, device: str = "cpu", quantization: str | None = None) -> WorkerSpec:
    """What a worker process of the lane holds, on `device`. `quantization` is that of Qwen."""
    own: dict[str, dict[str, Any]] = {
        "sdxl": {"few_step": settings.sdxl_few_step, **_switches(settings)},
        "wan": {"few_step": settings.wan_few_step, **_switches(settings)},
        REWRITING_LANE: {"quantization": quantization},
    }
    options = {
        "checkpoint": _model_setting(settings, lane),
        "cache_dir": str(settings.models_path),
        "device": device,
        "dtype": worker_dtype(lane, settings.dtype),
        **own[lane],
    }
    return WorkerSpec(
        lane=lane,
        factory=f"pipelines.{lane}:create",
        options=options,
        environment={"TRANSFORMERS_VERBOSITY": "error"},  # its remarks about a missing torchvision are harmless
        device=device,
    )


def _switches(settings: Settings) -> dict[str, str]:
    return {"attention": settings.attention, "cache": settings.cache, "compile": settings.compile}


def pixel_rules(checkpoint: Checkpoint, largest_share: float = LARGEST_SHARE) -> PixelRules:
    """The sizes that `checkpoint` can make: sides up to `largest_share` of the native long one, and no more pixels than
    the native shape has at that side."""
    multiple = checkpoint.size_multiple_px
    width, height = checkpoint.native_width_px, checkpoint.native_height_px

    def on_grid(pixels: float) -> int:
        return max(multiple, round(pixels / multiple) * multiple)

    largest = on_grid(max(width, height) * largest_share)
    return PixelRules(
        width=width,
        height=height,
        multiple=multiple,
        smallest=on_grid(min(width, height) * SMALLEST_SHARE),
        largest=largest,
        max_area=largest * on_grid(min(width, height) * largest_share),
    )


def _sdxl_types(checkpoint: Checkpoint) -> tuple[JobType, ...]:
    recipes = _recipes(checkpoint)
    return sdxl_types(
        fast=recipes["fast"],
        high=recipes["high"],
        expected_s=SDXL_FIRST_ESTIMATES_S[checkpoint.demo],
        schedulers=SCHEDULER_NAMES,
    )


def _wan_types(checkpoint: Checkpoint) -> tuple[JobType, ...]:
    multiple = checkpoint.frame_multiple
    longest = round((checkpoint.native_frames - 1) * LONGEST_FILM_SHARE / multiple) * multiple + 1
    rewriting_s = REWRITING_FIRST_ESTIMATES_S[checkpoint.demo]
    films = tuple(name for name in ("text", "image", "video") if name in checkpoint.starts_from)
    # A picture is a film of one frame: it can start from a picture wherever a film can start from a film.
    pictures = tuple("image" if name == "video" else name for name in films if name != "image")
    return wan_types(
        WanTraits(
            recipes=_recipes(checkpoint),
            expected_s=WAN_FIRST_ESTIMATES_S[checkpoint.demo],
            rewriting_s={"image": rewriting_s, "video": rewriting_s},
            schedulers=WAN_SCHEDULER_NAMES,
            starts_from={"image": pictures, "video": films},
            frames=FrameRules(
                native=checkpoint.native_frames, multiple=multiple, largest=longest, fps=checkpoint.native_fps
            ),
        )
    )


def _recipes(checkpoint: Checkpoint) -> dict[str, Defaults]:
    found = {quality: recipe(checkpoint, quality) for quality in QUALITIES}
    return {
        quality: Defaults(steps=each.steps, guidance=each.guidance, scheduler=each.scheduler)
        for quality, each in found.items()
    }


def _model_setting(settings: Settings, lane: str) -> str:
    named = {"sdxl": settings.sdxl_model, "wan": settings.wan_model, REWRITING_LANE: settings.qwen_model}
    setting = named[lane] or ("demo" if settings.uses_demo_models else "full")
    hub_id = FULL_MODEL[lane] if setting == "full" else setting
    # As `resolve` has it, a folder that exists comes before a hub id of the same name.
    pulled = None if Path(hub_id).expanduser().exists() else find_pulled(settings.models_path, hub_id)
    return str(pulled) if pulled else setting
