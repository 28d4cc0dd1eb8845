"""How many steps, how much guidance and which scheduler each checkpoint wants for each quality. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from pipelines.checkpoints import Checkpoint

Quality = Literal["fast", "high"]
SchedulerName = Literal["euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "ddim", "unipc", "lcm"]
WanSchedulerName = Literal["unipc", "euler"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
SCHEDULER_NAMES: tuple[SchedulerName, ...] = get_args(SchedulerName)
WAN_SCHEDULER_NAMES: tuple[WanSchedulerName, ...] = get_args(WanSchedulerName)
DEFAULT_STRENGTH = 0.6
"""Denoising strength of image to image where nothing was said: keeps the layout, redraws the rest."""
INPAINT_STRENGTH = 1.0
"""The same inside a mask: what is there is to be replaced, and must not shine through."""
WAN_CACHE_THRESHOLDS: Mapping[str, float] = {"fast": 0.1, "high": 0.05}
"""`Recipe.cache_threshold` by quality, after ParaAttention's first-block cache on WAN."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Denoising steps, classifier-free guidance scale (at most 1 is none: half the work) and scheduler name.

    Of WAN besides: `flow_shift` bends the schedule towards noise (None is the checkpoint's own), `guided_share` is the
    share of the steps after which guidance ends, `cache_threshold` the relative change of the first block's residual
    below which films reuse the other blocks' work (None is never).
    """

    steps: int
    guidance: float
    scheduler: SchedulerName
    flow_shift: float | None = None
    guided_share: float = 1.0
    cache_threshold: float | None = None


_DEMO: dict[str, Recipe] = {
    "fast": Recipe(steps=4, guidance=2.5, scheduler="euler"),
    "high": Recipe(steps=12, guidance=2.5, scheduler="euler"),
}
# SDXL base cannot draw in four steps. Eight second-order steps with guidance are the least that holds up.
_BASE: dict[str, Recipe] = {
    "fast": Recipe(steps=8, guidance=5.0, scheduler="dpmpp_2m"),
    "high": Recipe(steps=25, guidance=6.0, scheduler="dpmpp_2m_karras"),
}
# Each distillation is sampled as its authors say: SDXL-Lightning arXiv:2402.13929, SDXL-Turbo arXiv:2311.17042,
# LCM arXiv:2310.04378, DMD2 arXiv:2405.14867, Hyper-SD arXiv:2404.13686.
_DISTILLED_SCHEDULER: dict[str, SchedulerName] = {
    "lightning": "euler",
    "hyper": "euler",
    "turbo": "euler_a",
    "lcm": "lcm",
    "dmd": "lcm",
}
_DISTILLED = re.compile(f"(?<![a-z])({'|'.join(_DISTILLED_SCHEDULER)})", re.IGNORECASE)
_FEW_STEPS = 4
_DISTILLED_HIGH_STEPS = 8

# The tiny Wan's steps are few and its blocks small: a cache would cost more pictures than time.
_WAN_DEMO: dict[str, Recipe] = {
    "fast": Recipe(steps=8, guidance=2.5, scheduler="unipc"),
    "high": Recipe(steps=20, guidance=2.5, scheduler="unipc"),
}
# 50 steps at guidance 5 is what WAN's authors sample with (arXiv:2503.20314 and their generate.py). Guidance in the
# last fifth changes textures only and costs half of it.
_WAN_BASE: dict[str, Recipe] = {
    "fast": Recipe(steps=20, guidance=5.0, scheduler="unipc", cache_threshold=WAN_CACHE_THRESHOLDS["fast"]),
    "high": Recipe(
        steps=50, guidance=5.0, scheduler="unipc", guided_share=0.8, cache_threshold=WAN_CACHE_THRESHOLDS["high"]
    ),
}
# The self-forcing distillations (arXiv:2506.08009, LightX2V) are sampled in four Euler steps at shift 5, unguided.
_WAN_FEW_STEP = Recipe(steps=4, guidance=1.0, scheduler="euler", flow_shift=5.0)
# Guidance 6 and a shift of 8 to 12 are advised for the 1.3B model by https://github.com/Wan-Video/Wan2.1.
_WAN_SMALL = re.compile(r"(?<![\d.])1\.3b", re.IGNORECASE)
_WAN_SMALL_GUIDANCE, _WAN_SMALL_FLOW_SHIFT = 6.0, 8.0


def recipe(checkpoint: Checkpoint, quality: str) -> Recipe:
    """Return the recipe of `checkpoint` for `quality` ("fast" or "high"). Raises KeyError for another quality.

    Whether an SDXL checkpoint was distilled to few steps is told by its name (lightning, hyper, turbo, lcm, dmd), as
    nothing inside the file says so; whether a WAN checkpoint is the 1.3B model, likewise.
    """
    if quality not in QUALITIES:
        raise KeyError(quality)
    return _wan(checkpoint, quality) if checkpoint.role == "wan" else _sdxl(checkpoint, quality)


def _sdxl(checkpoint: Checkpoint, quality: str) -> Recipe:
    if quality == "fast" and checkpoint.few_step:
        return _distilled(_distillation(Path(checkpoint.few_step).stem) or "lightning", quality)
    if checkpoint.demo:
        return _DEMO[quality]
    distillation = _distillation(checkpoint.name)
    return _distilled(distillation, quality) if distillation else _BASE[quality]


def _wan(checkpoint: Checkpoint, quality: str) -> Recipe:
    if quality == "fast" and checkpoint.few_step:
        return _WAN_FEW_STEP
    if checkpoint.demo:
        return _WAN_DEMO[quality]
    if _WAN_SMALL.search(checkpoint.name):
        return replace(_WAN_BASE[quality], guidance=_WAN_SMALL_GUIDANCE, flow_shift=_WAN_SMALL_FLOW_SHIFT)
    return _WAN_BASE[quality]


def _distillation(name: str) -> str | None:
    found = _DISTILLED.search(name)
    return found.group(1).lower() if found else None


def _distilled(distillation: str, quality: str) -> Recipe:
    steps = _FEW_STEPS if quality == "fast" else _DISTILLED_HIGH_STEPS
    return Recipe(steps=steps, guidance=0.0, scheduler=_DISTILLED_SCHEDULER[distillation])
