"""Which checkpoints this studio uses, and what follows from them: the job types, their sizes, what workers hold."""

from __future__ import annotations

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.recipes import recipe
from queue_backend.messages import WorkerSpec
from studio.catalog import Catalog, Defaults, PixelRules, build_catalog, sdxl_types
from studio.settings import Settings

FIRST_ESTIMATES_S = {True: (2.0, 5.0), False: (5.0, 12.0)}
"""Run times (fast, high) assumed until there are runs to learn from: demo models on two CPU cores, SDXL on 48 GB."""
SMALLEST_SHARE, LARGEST_SHARE = 0.5, 2.0
"""Shortest and longest side offered, as shares of the native one: further off, SDXL repeats or loses its subject."""


def build_catalog_of(settings: Settings) -> Catalog:
    """The job types with the recipes and sizes of the checkpoints in use. Raises ModelMissing."""
    checkpoint = sdxl_checkpoint(settings)
    fast, high = (recipe(checkpoint, quality) for quality in ("fast", "high"))
    types = sdxl_types(
        fast=Defaults(steps=fast.steps, guidance=fast.guidance, scheduler=fast.scheduler),
        high=Defaults(steps=high.steps, guidance=high.guidance, scheduler=high.scheduler),
        expected_s=FIRST_ESTIMATES_S[checkpoint.demo],
    )
    return build_catalog(types, {"sdxl": pixel_rules(checkpoint)})


def sdxl_checkpoint(settings: Settings) -> Checkpoint:
    """The SDXL checkpoint that the settings name."""
    return resolve("sdxl", _model_setting(settings), few_step=settings.sdxl_few_step)


def worker_spec(settings: Settings, lane: str) -> WorkerSpec:
    """What the lane's worker processes hold."""
    options = {
        "checkpoint": _model_setting(settings),
        "few_step": settings.sdxl_few_step,
        "cache_dir": str(settings.models_path),
    }
    return WorkerSpec(
        lane=lane,
        factory=f"pipelines.{lane}:create",
        options=options,
        environment={"TRANSFORMERS_VERBOSITY": "error"},  # its remarks about a missing torchvision are harmless
    )


def pixel_rules(checkpoint: Checkpoint) -> PixelRules:
    """The sizes that `checkpoint` can make."""
    multiple = checkpoint.size_multiple_px

    def on_grid(share: float) -> int:
        return max(multiple, round(checkpoint.native_size_px * share / multiple) * multiple)

    return PixelRules(
        native=checkpoint.native_size_px,
        multiple=multiple,
        smallest=on_grid(SMALLEST_SHARE),
        largest=on_grid(LARGEST_SHARE),
    )


def _model_setting(settings: Settings) -> str:
    return settings.sdxl_model or ("demo" if settings.uses_demo_models else "full")
