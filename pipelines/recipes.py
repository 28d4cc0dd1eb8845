"""How many steps, how much guidance and which scheduler each checkpoint wants for each quality. Torch-free."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipelines.checkpoints import Checkpoint

Quality = Literal["fast", "high"]
SchedulerName = Literal["euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "ddim", "unipc", "lcm"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
SCHEDULER_NAMES: tuple[SchedulerName, ...] = get_args(SchedulerName)
DEFAULT_STRENGTH = 0.6
"""Denoising strength of image to image where nothing was said: keeps the layout, redraws the rest."""
INPAINT_STRENGTH = 1.0
"""The same inside a mask: what is there is to be replaced, and must not shine through."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Denoising steps, classifier-free guidance scale (at most 1 is none: half the work) and scheduler name."""

    steps: int
    guidance: float
    scheduler: SchedulerName


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


def recipe(checkpoint: Checkpoint, quality: str) -> Recipe:
    """Return the recipe of `checkpoint` for `quality` ("fast" or "high"). Raises KeyError for another quality.

    Whether a checkpoint was distilled to few steps is told by its name (lightning, hyper, turbo, lcm, dmd), as
    nothing inside the file says so.
    """
    if quality not in QUALITIES:
        raise KeyError(quality)
    if quality == "fast" and checkpoint.few_step:
        return _distilled(_distillation(Path(checkpoint.few_step).stem) or "lightning", quality)
    if checkpoint.demo:
        return _DEMO[quality]
    distillation = _distillation(checkpoint.name)
    return _distilled(distillation, quality) if distillation else _BASE[quality]


def _distillation(name: str) -> str | None:
    found = _DISTILLED.search(name)
    return found.group(1).lower() if found else None


def _distilled(distillation: str, quality: str) -> Recipe:
    steps = _FEW_STEPS if quality == "fast" else _DISTILLED_HIGH_STEPS
    return Recipe(steps=steps, guidance=0.0, scheduler=_DISTILLED_SCHEDULER[distillation])
