"""The job types: one table from which validation, presets, the screens and the documentation are derived."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_PROMPT_CHARS = 4000
"""Longer prompts are refused: about 1,000 tokens, far past what any text encoder here uses."""
MAX_PICTURES = 6
REWRITING_LANE = "qwen"
"""The lane that writes prompts out in more detail; the first one of jobs that ask for it."""
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
MAX_SEED = 2**32 - 1
RANDOM_SEED = -1
AS_GOOD_AS_RATIO = 0.05
"""Natural logarithm of how far a size may be from a ratio to count as having it: 832x480 is 16:9 to a person."""


@dataclass(frozen=True, kw_only=True)
class Aspect:
    """A shape of picture: its name in the screens and its ratio width : height."""

    name: str
    ratio: float


ASPECTS = (
    Aspect(name="1:1", ratio=1.0),
    Aspect(name="3:2", ratio=3 / 2),
    Aspect(name="2:3", ratio=2 / 3),
    Aspect(name="16:9", ratio=16 / 9),
    Aspect(name="9:16", ratio=9 / 16),
    Aspect(name="4:5", ratio=4 / 5),
)


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a job type uses where the order is silent: steps, guidance scale and scheduler of its recipe."""

    steps: int
    guidance: float
    scheduler: str


@dataclass(frozen=True, kw_only=True)
class FrameRules:
    """How long films of a checkpoint can be, in frames at `fps` frames a second: multiple x n + 1, since its VAE packs
    all but the first in groups of `multiple`."""

    native: int
    multiple: int
    largest: int
    fps: float

    @property
    def smallest(self) -> int:
        return self.multiple + 1

    def snap(self, frames: float) -> int:
        """The nearest allowed number of frames."""
        nearest = round((frames - 1) / self.multiple) * self.multiple + 1
        return min(max(nearest, self.smallest), self.largest)


@dataclass(frozen=True, kw_only=True)
class JobType:
    """One row of the table.

    `lanes` in the order in which the job passes through them. `expected_s` is the first estimate of the run time in
    seconds of a job with the default count, steps and size, until this installation has runs of its own to learn from;
    `rewriting_s` the same of the lane that rewrites the prompt. `frames` is None for pictures. `starts_from` says what
    the checkpoint in use can begin with: "text" alone, an "image", a "video".
    """

    name: str
    label: str
    description: str
    lanes: tuple[str, ...]
    quality: str
    kind: str
    mime_type: str
    default_count: int
    max_count: int
    expected_s: float
    defaults: Defaults
    schedulers: tuple[str, ...]
    starts_from: tuple[str, ...] = ("text", "image")
    takes_mask: bool = False
    frames: FrameRules | None = None
    rewriting_s: float = 0.0

    @property
    def engine(self) -> str:
        """The lane that makes the pictures or the film, the last one."""
        return self.lanes[-1]

    @property
    def bucket(self) -> str:
        """First part of the storage keys of this type's files."""
        return self.name

    @property
    def extension(self) -> str:
        return "mp4" if self.kind == "video" else "png"

    def lane_after(self, lane: str) -> str | None:
        """The lane that a job of this type goes to from `lane`, None from its last one."""
        following = self.lanes[self.lanes.index(lane) + 1 :] if lane in self.lanes else ()
        return following[0] if following else None


@dataclass(frozen=True, kw_only=True)
class PixelRules:
    """What sizes a checkpoint can make, in pixels. `width` x `height` is what it was trained at. Sides are multiples of
    `multiple` from `smallest` to `largest`, and at most `max_area` square pixels together."""

    width: int
    height: int
    multiple: int
    smallest: int
    largest: int
    max_area: int

    def for_aspect(self, ratio: float) -> tuple[int, int]:
        """(width, height) of about the native area with width : height near `ratio`, on the grid of `multiple`: the
        native size itself, lying or standing, where that is as good as the ratio."""
        for sides in ((self.width, self.height), (self.height, self.width)):
            if abs(math.log(sides[0] / sides[1] / ratio)) < AS_GOOD_AS_RATIO:
                return sides
        width = (self.width * self.height * ratio) ** 0.5
        return self.snap(width), self.snap(width / ratio)

    def snap(self, pixels: float) -> int:
        """The nearest allowed length."""
        nearest = round(pixels / self.multiple) * self.multiple
        return min(max(nearest, self.smallest), self.largest)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The job types of this installation and the sizes their checkpoints can make."""

    types: MappingProxyType[str, JobType]
    pixels: MappingProxyType[str, PixelRules]

    def rules(self, job_type: JobType) -> PixelRules:
        """The sizes of the type's engine."""
        return self.pixels[job_type.engine]

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(lane for kind in self.types.values() for lane in kind.lanes))

    def as_json(self) -> list[dict[str, object]]:
        """The catalog for clients: a row a type with its limits, defaults and presets."""
        return [_type_json(self, job_type) for job_type in self.types.values()]


def sdxl_types(
    *, fast: Defaults, high: Defaults, expected_s: tuple[float, float], schedulers: tuple[str, ...]
) -> tuple[JobType, ...]:
    """The job types of the SDXL lane with the recipes (fast, high) of the checkpoint in use."""
    rows = (
        ("fast", "Pictures, fast", "Six SDXL pictures in a few steps.", expected_s[0], fast),
        ("high", "Pictures, high quality", "Six SDXL pictures, all steps.", expected_s[1], high),
    )
    return tuple(
        JobType(
            name=f"sdxl_image_{quality}",
            label=label,
            description=description,
            lanes=("sdxl",),
            quality=quality,
            kind="image",
            mime_type="image/png",
            default_count=MAX_PICTURES,
            max_count=MAX_PICTURES,
            expected_s=seconds,
            defaults=defaults,
            schedulers=schedulers,
            takes_mask=True,
        )
        for quality, label, description, seconds, defaults in rows
    )


@dataclass(frozen=True, kw_only=True)
class WanTraits:
    """What the job types of WAN take from its checkpoint. `expected_s` is by (kind, quality), `rewriting_s` by kind,
    `starts_from` by kind."""

    recipes: Mapping[str, Defaults]
    expected_s: Mapping[tuple[str, str], float]
    rewriting_s: Mapping[str, float]
    schedulers: tuple[str, ...]
    starts_from: Mapping[str, tuple[str, ...]]
    frames: FrameRules


def wan_types(traits: WanTraits) -> tuple[JobType, ...]:
    """The job types of the WAN lane: pictures and films, as written and with a prompt that Qwen rewrites first."""
    return tuple(
        _wan_type(traits, kind, quality, rewritten=rewritten)
        for rewritten in (False, True)
        for kind in ("image", "video")
        for quality in ("fast", "high")
    )


def _wan_type(traits: WanTraits, kind: str, quality: str, *, rewritten: bool) -> JobType:
    film = kind == "video"
    what, made = ("Film", "A WAN film") if film else ("WAN picture", "A WAN picture")
    speed, steps = ("fast", "in a few steps") if quality == "fast" else ("high quality", "with all steps")
    after = " from a prompt that Qwen writes out first" if rewritten else ""
    return JobType(
        name=f"{kind}7b_{quality}_enhanced" if rewritten else f"{kind}_{quality}",
        label=f"{what}, {speed}" + (", rewritten" if rewritten else ""),
        description=f"{made}{after}, {steps}.",
        lanes=(REWRITING_LANE, "wan") if rewritten else ("wan",),
        quality=quality,
        kind=kind,
        mime_type="video/mp4" if film else "image/png",
        default_count=1,
        max_count=1 if film else MAX_PICTURES,
        expected_s=traits.expected_s[kind, quality],
        rewriting_s=traits.rewriting_s[kind] if rewritten else 0.0,
        defaults=traits.recipes[quality],
        schedulers=traits.schedulers,
        starts_from=traits.starts_from[kind],
        frames=traits.frames if film else None,
    )


def build_catalog(types: tuple[JobType, ...], pixels: dict[str, PixelRules]) -> Catalog:
    """A catalog of `types`; `pixels` has the rules of every lane that makes pictures."""
    return Catalog(types=MappingProxyType({kind.name: kind for kind in types}), pixels=MappingProxyType(dict(pixels)))


def _type_json(catalog: Catalog, kind: JobType) -> dict[str, object]:
    rules = catalog.rules(kind)
    defaults: dict[str, object] = {
        "count": kind.default_count,
        "steps": kind.defaults.steps,
        "guidance": kind.defaults.guidance,
        "scheduler": kind.defaults.scheduler,
        "width": rules.width,
        "height": rules.height,
    }
    limits: dict[str, object] = {
        "count": kind.max_count,
        "steps": MAX_STEPS,
        "guidance": MAX_GUIDANCE,
        "prompt_chars": MAX_PROMPT_CHARS,
        "smallest_px": rules.smallest,
        "largest_px": rules.largest,
        "multiple_px": rules.multiple,
        "largest_area_px": rules.max_area,
    }
    if kind.frames is not None:
        defaults |= {"frames": kind.frames.native, "fps": kind.frames.fps}
        limits |= {
            "smallest_frames": kind.frames.smallest,
            "largest_frames": kind.frames.largest,
            "multiple_frames": kind.frames.multiple,
        }
    return {
        "type": kind.name,
        "label": kind.label,
        "description": kind.description,
        "kind": kind.kind,
        "mime_type": kind.mime_type,
        "quality": kind.quality,
        "engine": kind.engine,
        "lanes": list(kind.lanes),
        "bucket": kind.bucket,
        "expected_s": round(kind.expected_s + kind.rewriting_s, 1),
        "starts_from": list(kind.starts_from),
        "takes_mask": kind.takes_mask,
        "schedulers": list(kind.schedulers),
        "defaults": defaults,
        "limits": limits,
        "aspects": {aspect.name: list(rules.for_aspect(aspect.ratio)) for aspect in ASPECTS},
    }
